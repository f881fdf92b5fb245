import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { TestPublic } from './support/public.ts';

const CONNECTIONS = 30;

/** Connects in a thread of its own, says so in shared memory, and then asks on each connection; posts how each was answered. */
const CLIENTS = `
  const { workerData: { port, count, connected }, parentPort } = require('node:worker_threads');
  const { connect } = require('node:net');
  const states = new Int32Array(connected);
  const answers = [];
  const sockets = Array.from({ length: count }, () => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      Atomics.add(states, 0, 1);
      Atomics.notify(states, 0);
      socket.write('POST /r/a HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Length: 1\\r\\n\\r\\nx');
    });
    socket.on('data', (data) => (answer += data));
    socket.on('error', (error) => (answer = error.code));
    socket.on('close', () => answers.push(answer.split('\\r\\n')[0]) === count && parentPort.postMessage(answers));
    return socket;
  });
`;

test('who leaves a shared port accepts and answers every connection that waits for it', async () => {
  await using open = await TestPublic.start();
  const connected = new SharedArrayBuffer(4);
  const states = new Int32Array(connected);
  const clients = new Worker(CLIENTS, { eval: true, workerData: { port: open.port, count: CONNECTIONS, connected } });
  const answers = new Promise((resolve, reject) => clients.once('message', resolve).once('error', reject));
  // Nothing is accepted while this thread waits: the system holds all of them.
  for (let count = 0; count < CONNECTIONS; count = Atomics.load(states, 0)) Atomics.wait(states, 0, count);
  open.server.leave();
  expect(await answers).toEqual(Array.from({ length: CONNECTIONS }, () => 'HTTP/1.1 202 Accepted'));
  await clients.terminate();
});
