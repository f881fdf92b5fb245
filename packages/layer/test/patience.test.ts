import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Patience } from '../src/driver/patience.ts';

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a peer that is silent is judged, once, and not before its time', async () => {
  const since = performance.now();
  let judged = 0;
  await new Promise<void>((resolve) => {
    new Patience(100, () => {
      judged += 1;
      resolve();
    });
  });
  expect(performance.now() - since).toBeGreaterThan(95);
  await new Promise<void>((resolve) => new Patience(100, resolve));
  expect(judged).toBe(1);
});

test('ended, it judges nobody', async () => {
  let judged = 0;
  const patience = new Patience(20, () => (judged += 1));
  patience.end();
  await new Promise<void>((resolve) => new Patience(40, resolve));
  expect(judged).toBe(0);
});

test('a process that stood still reads what had come before it judges', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  let judged = 0;
  for (let round = 0; round < 5; round += 1) {
    const answered = once(socket, 'data');
    const patience = new Patience(200, () => (judged += 1));
    // Nearly all of its time has passed when the question is sent; the answer comes while this process does not look.
    for (let look = 0; look < 3; look += 1) await new Promise((resolve) => setTimeout(resolve, 40));
    socket.write('question');
    await new Promise(setImmediate);
    standStill(400);
    await answered;
    patience.end();
  }
  expect(judged).toBe(0);
  socket.destroy();
  server.close();
});
