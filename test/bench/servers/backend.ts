/**
 * What a developer puts behind `url:`, or behind the proxy of Centrifugo: it sends each message back, and takes everybody in. It checks no signature.
 * `node backend.ts <port>`
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

type Told = { readonly type: string; readonly text: string } | { readonly type?: undefined; readonly data: string };

const server = createServer((request, response) => void handle(request, response));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = JSON.stringify(answer(JSON.parse(await text(request)) as Told));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
}

function answer(told: Told): unknown {
  if (told.type === undefined) return { result: { data: told.data } };
  if (told.type === 'websocket.connect') return { replies: [{ type: 'websocket.accept' }] };
  return { replies: told.type === 'websocket.receive' ? [{ type: 'websocket.send', text: told.text }] : [] };
}

server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
