import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import type { Child } from '../support/child.ts';
import { runBusgate, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const ECHO = join(import.meta.dirname, 'modules/echo.ts');
const WAITING = join(import.meta.dirname, 'modules/waiting.ts');

let redis: Broker;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis[Symbol.asyncDispose]());

async function startWorker(queue: string, module = ECHO, { url } = redis): Promise<Child> {
  const child = runBusgate(['work', module, '--queue', queue, '--layer', url]);
  await child.lines.find((line) => line.includes('working'));
  return child;
}

const gatewayArgs = (queue: string): string[] => ['--layer', redis.url, '--routes', `[{path: /app, kind: events, queue: ${queue}}]`];

/** What was sent back, without who did. */
const texts = ({ received }: Client): string[] => received.map((message) => String(message).replace(/^\d+ /, ''));
const workersOf = ({ received }: Client): Set<string> => new Set(received.map((message) => String(message).split(' ', 1)[0] ?? ''));

describe('busgate work', () => {
  test('workers are replaced one after the other under load, on two gateways: no socket closes, and no message is lost, doubled or out of place', async () => {
    await using one = await startGateway({ args: gatewayArgs('rolled') });
    await using two = await startGateway({ args: gatewayArgs('rolled') });
    const workers = [await startWorker('rolled'), await startWorker('rolled')];
    const clients = await Promise.all(Array.from({ length: 40 }, (_, index) => Client.open((index % 2 === 0 ? one : two).ws('/app'))));
    const sendAll = (from: number, to: number): void => {
      for (let n = from; n < to; n += 1) for (const client of clients) client.send(String(n));
    };
    sendAll(0, 20);
    for (let round = 0; round < 2; round += 1) {
      const next = await startWorker('rolled');
      sendAll(20 + round * 20, 40 + round * 20);
      const old = workers.shift() as Child;
      old.signal('SIGTERM');
      expect(await old.exited).toEqual({ code: 0, signal: null });
      workers.push(next);
    }
    sendAll(60, 80);
    await Promise.all(clients.map((client) => client.until((received) => received.length === 80)));
    for (const client of clients) expect(texts(client)).toEqual(Array.from({ length: 80 }, (_, n) => String(n)));
    expect(new Set(clients.flatMap((client) => [...workersOf(client)])).size).toBeGreaterThan(2);
    expect(await one.metric('busgate_event_replies_stale_total{route="/app"}')).toBe(0);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()));
  });

  test('a worker that is killed is found out, and another one goes on with its sockets', async () => {
    await using gateway = await startGateway({ args: gatewayArgs('killed') });
    const first = await startWorker('killed');
    await using client = await Client.open(gateway.ws('/app'));
    client.send('a');
    await client.until((received) => received.length === 1);
    await using second = await startWorker('killed');
    await first.kill();
    client.send('lost with it');
    await second.lines.find((line) => line.includes('working'));
    // The silence that is its death, 10 s, is the gateway's to count.
    await expect.poll(() => gateway.metric('busgate_events_undone_total{route="/app",reason="lost"}')).toBeGreaterThan(0);
    client.send('b');
    await client.until((received) => received.length === 2);
    expect(texts(client)).toEqual(['a', 'b']);
    expect([...workersOf(client)]).toEqual([String(first.pid), String(second.pid)]);
    expect(await Promise.all(['busgate_event_workers_lost_total', 'busgate_event_workers'].map((name) => gateway.metric(name)))).toEqual([1, 1]);
  });

  test('what handlers say while the broker is away reaches their clients when it is back, in order, and no socket closes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'busgate-away-'));
    await using broker = await startRedis();
    await using gateway = await startGateway({ args: ['--layer', broker.url, '--routes', '[{path: /app, kind: events, queue: away}]'] });
    await using worker = await startWorker('away', WAITING, broker);
    await using client = await Client.open(gateway.ws('/app'));
    const [during, after] = ['during', 'after'].map((name) => join(folder, name)) as [string, string];
    client.send(during);
    await worker.lines.find((line) => line === 'waits for during');
    await broker.stop();
    await writeFile(during, '');
    await worker.lines.find((line) => line === 'answers during');
    await broker.start();
    await client.until((received) => received.length === 2);
    await writeFile(after, '');
    client.send(after);
    await client.until((received) => received.length === 4);
    expect(client.received).toEqual(['first', 'second', 'first', 'second']);
    await rm(folder, { recursive: true, force: true });
  });

  test('does not start with a module that throws at import, and says why', async () => {
    await using child = runBusgate(['work', join(import.meta.dirname, 'modules/throwing.ts'), '--queue', 'q', '--layer', redis.url]);
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lines.all.join('\n')).toMatch(/cannot be loaded: no luck \(\/.*throwing\.ts:2/);
  });
});
