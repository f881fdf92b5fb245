import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openPublisher } from '../src/cli/publisher.ts';

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

interface Taken {
  readonly url: string;
  readonly body: string;
}

/** A gateway's POST, as far as a publisher can see it. */
async function startTaker(answer: (count: number, request: IncomingMessage, response: ServerResponse) => void): Promise<{ url: URL; taken: Taken[] }> {
  const taken: Taken[] = [];
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      taken.push({ url: `${request.method} ${request.url}`, body: Buffer.concat(parts).toString('latin1') });
      answer(taken.length, request, response);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return { url: new URL(`http://localhost:${(server.address() as AddressInfo).port}/base/`), taken };
}

function accept(response: ServerResponse): void {
  response.writeHead(202, { 'Content-Type': 'application/json' }).end('{"room":"r"}');
}

test('messages reach the room in their order, byte for byte, several under way at once', async () => {
  const held: ServerResponse[] = [];
  const { url, taken } = await startTaker((count, _request, response) => {
    held.push(response);
    // The first answer waits for the last request: they must be under way together.
    if (count === 10) for (const each of held) accept(each);
  });
  const publisher = await openPublisher({ kind: 'gateway', url }, 'a.b');
  const bodies = ['', '\u00ff\u0000', 'é', '3', '4', '5', '6', '7', '8', '9'];
  await Promise.all(bodies.map((body) => publisher.publish(Buffer.from(body, 'latin1'))));
  await publisher.close();
  expect(taken).toEqual(bodies.map((body) => ({ url: 'POST /base/room/a.b', body })));
});

test('what is refused says why, and the next one is tried', async () => {
  const { url } = await startTaker((count, _request, response) => {
    if (count > 1) accept(response);
    else response.writeHead(403, { 'Content-Type': 'application/json', Connection: 'close' }).end('{"error":"not_allowed","message":"not\\u001b here"}');
  });
  const publisher = await openPublisher({ kind: 'gateway', url }, 'r');
  await expect(publisher.publish(Buffer.from('a'))).rejects.toThrow(/refused it with 403, not_allowed: not\\u001b here$/);
  await publisher.publish(Buffer.from('b'));
  await publisher.close();
});

test('a connection that breaks takes what was under way with it: nothing is sent twice', async () => {
  const { url, taken } = await startTaker((count, request, response) => {
    if (count === 5) request.socket.destroy();
    else if (count > 5) accept(response);
  });
  const publisher = await openPublisher({ kind: 'gateway', url }, 'r');
  const outcomes = await Promise.allSettled(['1', '2', '3', '4', '5'].map((body) => publisher.publish(Buffer.from(body))));
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected', 'rejected']);
  await publisher.publish(Buffer.from('6'));
  await publisher.close();
  expect(taken.map(({ body }) => body)).toEqual(['1', '2', '3', '4', '5', '6']);
});

test('where nobody listens, the error names the gateway', async () => {
  const { url } = await startTaker(() => undefined);
  server?.close();
  const publisher = await openPublisher({ kind: 'gateway', url }, 'r');
  await expect(publisher.publish(Buffer.from('a'))).rejects.toThrow(`the gateway at ${url.origin} did not answer: connect ECONNREFUSED`);
  await publisher.close();
});
