import { readFileSync } from 'node:fs';
import { consumer, http, router } from '@busgate/consumer';

const page = readFileSync(new URL('echo.html', import.meta.url));

const socket = consumer(async (socket) => {
  for await (const message of socket) await socket.send(message);
});

const request = http((request) => {
  const message = new URL(request.url).searchParams.get('message');
  return message === null ? new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }) : new Response(message);
});

export default router({ '/echo': [socket, request] });
