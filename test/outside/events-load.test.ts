import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { type Broker, startRedis } from '../support/brokers.ts';
import { typescriptWorker } from '../support/event-workers/typescript.ts';
import { INSPECTED, Inspector } from '../support/inspector.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { Client } from '../e2e/clients.ts';

const SESSIONS = 200;
const MESSAGE = 'x'.repeat(4096);
/** A client says something that often, in milliseconds: all of them 240 MB in a minute. */
const SAYS_MS = 200;
/** What a client may have written that the network has not taken, in bytes. */
const AHEAD = 64 * 1024;
/** Of each client, while the worker works. */
const ANSWERS = 20;
/** Until windows are full, and the gateway has noticed that nobody works. */
const SETTLING_MS = 20_000;
/** The rest of a minute. */
const FROZEN_MS = 40_000;
/** Between two words of somebody in a room. */
const ECHO_MS = 10;
/** What is waited for is looked at in so many parts. */
const PARTS = 5;
/** By so much two gateways may differ on a machine that others use too without anybody's fault, in milliseconds. */
const NOISE_MS = 50;

let redis: Broker;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.[Symbol.asyncDispose]());

describe('workers that stand still for a minute under load', () => {
  test("cost the gateway no memory, and other routes' clients no time; their sessions go on when they do", async () => {
    await using gateway = await serve('frozen');
    await using inspector = await Inspector.of(gateway);
    await using idle = await serve('idle');
    await using worker = await typescriptWorker('function').start(redis.url, 'frozen');
    await using talker = await Client.open(gateway.ws('/room/1'));
    await using beside = await Client.open(idle.ws('/room/2'));
    const clients = await Promise.all(Array.from({ length: SESSIONS }, () => Client.open(gateway.ws('/app/open'))));
    const over = new AbortController();
    const pressing = clients.map(({ socket }) => press(socket, over.signal));

    await Promise.all(clients.map((client) => client.until((received) => received.length >= ANSWERS)));
    worker.signal('SIGSTOP');
    worker.awaitStop();
    await pass(SETTLING_MS);
    const settled = await inspector.held();
    // How busy the machine is just now a gateway tells that has nothing else to do.
    const [waited, waitedBeside] = (await Promise.all([talker, beside].map((client) => waitsOf(client, FROZEN_MS)))).map(p99) as [number, number];
    const held = await inspector.held();
    worker.signal('SIGCONT');

    expect(held).toBeLessThan(settled * 1.1);
    expect(waited).toBeLessThan(waitedBeside + NOISE_MS);
    const heard = clients.map(({ received }) => received.length);
    await Promise.all(clients.map((client, n) => client.until((received) => received.length > (heard[n] as number))));
    over.abort();
    await Promise.all([...pressing, ...clients.map((client) => client[Symbol.asyncDispose]())]);
  });
});

describe.each(['function', 'class'] as const)('a session whose handler is slow, a %s', (form) => {
  test('delays no other one of the same worker', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'busgate-slow-'));
    const held = join(folder, 'held');
    const queue = `slow-${form}`;
    await using gateway = await serve(queue);
    await using _worker = await typescriptWorker(form).start(redis.url, queue);
    await using slow = await Client.open(gateway.ws('/app/open'));
    for (const text of [`hold ${held}`, 'after it']) slow.send(text);
    await slow.until((received) => received.length === 1);
    const others = await Promise.all(Array.from({ length: 50 }, () => Client.open(gateway.ws('/app/open'))));
    const said = Array.from({ length: 100 }, (_, n) => `number ${n}`);
    for (const text of said) for (const other of others) other.send(text);
    await Promise.all(others.map((other) => other.until((received) => received.length === said.length)));
    expect(others.map(({ received }) => received)).toEqual(others.map(() => said));
    expect(slow.received).toEqual(['holding']);
    await writeFile(held, '');
    await slow.until((received) => received.length === 3);
    expect(slow.received).toEqual(['holding', 'held', 'after it']);
    await Promise.all(others.map((other) => other[Symbol.asyncDispose]()));
    await rm(folder, { recursive: true, force: true });
  });
});

/** A gateway whose sessions outlive some minutes without an answer, beside a route of rooms. */
function serve(queue: string): Promise<GatewayProcess> {
  const events = `{path: '/app/*', kind: events, queue: ${queue}, handler_timeout: 5m, resume_timeout: 5m}`;
  const room = '{path: "/room/:room", kind: room, join: anyone, publish: anyone}';
  return startGateway({ args: ['--layer', redis.url, '--routes', `[${events}, ${room}]`], env: { NODE_OPTIONS: INSPECTED } });
}

/** Says something again and again, unless the network takes no more. */
async function press(socket: WebSocket, signal: AbortSignal): Promise<void> {
  // Not all at once.
  await pass(Math.random() * SAYS_MS);
  while (!signal.aborted) {
    if (socket.bufferedAmount < AHEAD) socket.send(MESSAGE);
    await pass(SAYS_MS);
  }
}

/** What somebody in a room waits for his own words, in milliseconds, all of it. */
async function waitsOf(client: Client, ms: number): Promise<readonly number[]> {
  const waits: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end; await pass(ECHO_MS)) {
    const before = client.received.length;
    const began = performance.now();
    client.send('said');
    await client.until((received) => received.length > before);
    waits.push(performance.now() - began);
  }
  return waits;
}

/** What a hundredth of them waits for longer: the middle one of some parts, so that what holds up the whole machine once does not count. */
function p99(waits: readonly number[]): number {
  const size = Math.ceil(waits.length / PARTS);
  const each = Array.from({ length: PARTS }, (_, n) => quantile(waits.slice(n * size, (n + 1) * size), 0.99));
  return quantile(each, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] as number;
}
