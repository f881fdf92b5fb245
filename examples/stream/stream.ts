import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { consumer, http, ReceiveTimeoutError, router } from '@busgate/consumer';

const page = readFileSync(new URL('stream.html', import.meta.url));

/** Counts, once a second, while the handler runs; whatever the client sends ends it. */
const socket = consumer(async (socket) => {
  for (let count = 1; ; count += 1) {
    await socket.send(String(count)); // leaves now, and not when the handler ends
    try {
      await socket.receive({ timeout: 1000 });
      return; // closes with 1000
    } catch (error) {
      if (!(error instanceof ReceiveTimeoutError)) throw error;
    }
  }
});

/** The same over plain HTTP, a line a second, until the client leaves or has so many. */
const request = http((request) => {
  const lines = new URL(request.url).searchParams.get('lines');
  if (lines === null) return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  return new Response(ReadableStream.from(count(Number(lines), request.signal)), { headers: { 'content-type': 'text/plain; charset=utf-8' } });
});

async function* count(lines: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let count = 1; count <= lines && !signal.aborted; count += 1) {
    if (count > 1) await sleep(1000, undefined, { signal });
    yield new TextEncoder().encode(`${count}\n`);
  }
}

export default router({ '/stream': [socket, request] });
