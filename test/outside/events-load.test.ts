import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { typescriptWorker } from '../support/event-workers/typescript.ts';
import { startGateway } from '../support/processes.ts';
import { Client } from '../e2e/clients.ts';

let redis: Broker;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.[Symbol.asyncDispose]());

describe.each(['function', 'class'] as const)('a session whose handler is slow, a %s', (form) => {
  test('delays no other one of the same worker', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'busgate-slow-'));
    const held = join(folder, 'held');
    const queue = `slow-${form}`;
    await using gateway = await startGateway({
      args: ['--layer', redis.url, '--routes', `[{path: '/app/*', kind: events, queue: ${queue}, handler_timeout: 5m}]`],
    });
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
