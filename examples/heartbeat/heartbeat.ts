import { readFileSync } from 'node:fs';
import { CloseConnection, consumer, http, ReceiveTimeoutError, router } from '@busgate/consumer';

/** A client says `ping` every 30 s; one of which nothing is heard for 35 s is dead. */
const DEAD_MS = Number(process.env['HEARTBEAT_DEAD_MS'] ?? 35_000);

const page = readFileSync(new URL('heartbeat.html', import.meta.url));

const socket = consumer(async (socket) => {
  for (;;) {
    const message = await socket.receive({ timeout: DEAD_MS }).catch((error: unknown) => {
      throw error instanceof ReceiveTimeoutError ? new CloseConnection(4000, 'no heartbeat') : error;
    });
    await socket.send(message === 'ping' ? 'pong' : message);
  }
});

export default router({ '/heartbeat': [socket, http(() => new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }))] });
