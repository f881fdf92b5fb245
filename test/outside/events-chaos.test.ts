import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { balance, Gateways, sumsOf } from './support/chaos/gateways.ts';
import { problemsOf } from './support/chaos/problems.ts';
import { QueuedEnds } from './support/chaos/queued-ends.ts';
import { type Stint, stintsOf } from './support/chaos/stints.ts';
import { Wanderer } from './support/chaos/wanderer.ts';
import { Workforce } from './support/chaos/workforce.ts';
import { ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';
import { until } from '../support/until.ts';

const CLIENTS = 500;
/** How long workers and a gateway die, and how often a worker is killed, in milliseconds. */
const CHAOS_MS = 60_000;
const DEATH_EVERY_MS = 2000;
/** With each third death another worker stops in order. */
const DEATHS_A_STOP = 3;

let folder: string;
let python: PythonEnvironment;
let redis: Broker;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-chaos-'));
  [python, redis] = await Promise.all([PythonEnvironment.with(join(ROOT, 'packages/asgi')), startRedis()]);
});

afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
  await python?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('500 sockets, workers of both kinds that are killed and stopped, and a gateway that is killed', async () => {
  await using ends = await QueuedEnds.watch(redis.url);
  await using workers = await Workforce.start({ layer: redis.url, folder, asgi: python.command('busgate-asgi') });
  await using gateways = await Gateways.start(redis.url);
  using leaving = new DisposableStack();
  const clients = Array.from({ length: CLIENTS }, (_, name) => leaving.use(new Wanderer(String(name), () => gateways.origin)));

  await until(
    'most clients are answered',
    () => clients.filter(({ isAnswered }) => isAnswered).length,
    (answered) => answered > CLIENTS / 2,
  );
  await Promise.all([chaos(workers), pass(CHAOS_MS / 2).then(() => gateways.replaceOne())]);
  await Promise.all(clients.map((client) => client.settle()));

  // Each connect has one end, in the queues ...
  const visits = clients.flatMap((client) => client.visits);
  await until(
    'every end is queued',
    () => ends.missing,
    (missing) => missing.length === 0,
  );
  await workers.close(() =>
    until(
      'every end is taken',
      () => ends.left(),
      (left) => left.length === 0,
    ),
  );
  expect(ends.surplus).toEqual([]);

  // ... and in the workers, of which those that were killed have taken some with them.
  const stints = await stintsOf(workers.all);
  const happened = { killedOrigins: gateways.killed, lastKillAt: workers.lastKillAt, endQueuedAt: (name: string) => ends.lastAt(`/app/${name}`) };
  expect(visits.flatMap((visit) => problemsOf(visit, stints.get(visit.name) ?? [], happened))).toEqual([]);
  const met = visits.map(({ name }) => stints.get(name) ?? []).filter((had) => had.length > 0);
  expect(met.filter(isTold).length).toBeGreaterThan(met.length / 2);
  expect(met.filter(isResumed).length).toBeGreaterThan(0);
  for (const gateway of gateways.alive) await until('the sums of the metrics balance', () => sumsOf(gateway), balance);
});

/** A worker has handled the end. */
function isTold(had: readonly Stint[]): boolean {
  return had.some(({ events }) => events.at(-1)?.event === 'disconnect');
}

/** One worker had it after another one. */
function isResumed(had: readonly Stint[]): boolean {
  return had.some(({ events }) => events[0]?.resumed === true);
}

/** A minute of deaths; resolves when those that were to stop have stopped, too. */
async function chaos(workers: Workforce): Promise<void> {
  const end = performance.now() + CHAOS_MS;
  for (let deaths = 1; performance.now() < end; deaths += 1) {
    const next = pass(DEATH_EVERY_MS);
    await workers.killOne();
    if (deaths % DEATHS_A_STOP === 0) workers.stopOne();
    await Promise.all([next, workers.fill()]);
  }
  await workers.stopped();
}
