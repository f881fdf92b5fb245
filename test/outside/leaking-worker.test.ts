import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { startRedis } from '../support/brokers.ts';
import { startGateway } from '../support/processes.ts';

const MODULE = join(import.meta.dirname, 'modules/leaking.ts');
const CLIENTS = 24;

async function open(url: string): Promise<{ client: Client; worker: number }> {
  const client = await Client.open(url);
  await client.until((received) => received.length === 1);
  return { client, worker: Number(client.received[0]) };
}

test('a worker that leaks until it dies of it is replaced; its sessions end, those of the other stay, and no counter falls', async () => {
  await using redis = await startRedis();
  const args = ['--layer', redis.url, '--workers', '2', '--routes', `[{path: /app, kind: consumer, module: '${MODULE}'}]`];
  // Less than the machine has, so that V8 ends the process as it does where there is no more.
  await using gateway = await startGateway({ args, env: { NODE_OPTIONS: '--max-old-space-size=96' } });
  for (const worker of [1, 2]) await gateway.lines.find((line) => line.includes('"a worker serves"') && line.includes(`"worker":${worker}`));
  const sessions = await Promise.all(Array.from({ length: CLIENTS }, () => open(gateway.ws('/app'))));
  const [leaking] = sessions;
  const others = sessions.filter(({ worker }) => worker !== leaking?.worker);
  expect([others.length > 0, new Set(sessions.map(({ worker }) => worker)).size]).toEqual([true, 2]);
  const connections = 'busgate_connections_total{transport="websocket"}';
  await expect.poll(() => gateway.metric(connections)).toBe(CLIENTS);

  leaking?.client.send('leak');
  const died = await gateway.lines.find((line) => line.includes('"a worker died and is replaced"'));
  // Where it does nothing but look for memory, it may be taken for silent first.
  expect(JSON.parse(died)).toMatchObject({ how: expect.stringMatching(/^(?:SIGABRT|134|silent)$/) as string });
  for (const { client } of sessions.filter(({ worker }) => worker === leaking?.worker)) expect((await client.closed).code).toBe(1006);
  for (const { client } of others) {
    client.send('still here');
    await client.until((received) => received.length === 2);
  }
  await expect.poll(() => gateway.metric('busgate_sessions{transport="websocket"}')).toBe(others.length);

  const workers = new Set<number>();
  while (workers.size < 2) {
    const { client, worker } = await open(gateway.ws('/app'));
    workers.add(worker);
    await client[Symbol.asyncDispose]();
  }
  expect([...workers]).not.toContain(leaking?.worker);
  expect(await gateway.metric(connections)).toBeGreaterThanOrEqual(CLIENTS);
  for (const { client } of sessions) await client[Symbol.asyncDispose]();
});
