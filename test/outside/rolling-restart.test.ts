import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway, startGatewayOn } from '../support/processes.ts';
import { RunningProxy } from './support/proxies.ts';
import { NumberedPublisher, Returning } from './support/returning.ts';
import { until } from '../support/until.ts';

const CLIENTS = 5000;
/** Each client is in one of them. */
const ROOMS = Array.from({ length: 50 }, (_, index) => `kept.${index}`);
/** Connections that are being opened at any time. */
const AT_ONCE = 200;
/** Closes a second that the fleet is allowed. */
const RATE = 400;
const SETTINGS = ['--demo', '--history', '[{rooms: "kept.>", size: 1000, age: 10m}]', '--drain-fleet-rate', String(RATE)];

let redis: Broker;
let args: readonly string[];
let gateways: GatewayProcess[];
let proxy: RunningProxy;
let clients: Returning[];
let publisher: NumberedPublisher;

beforeAll(async () => {
  redis = await startRedis();
  args = [...SETTINGS, '--layer', redis.url];
  gateways = await Promise.all([1, 2, 3].map(() => startGateway({ args })));
  proxy = await (await RunningProxy.start('haproxy', gateways)).ready();
  clients = [];
  while (clients.length < CLIENTS) {
    const from = clients.length;
    for (let n = from; n < from + AT_ONCE; n += 1) clients.push(new Returning(proxy.origin, ROOMS[n % ROOMS.length] as string));
    await everybodyIsThere();
  }
  publisher = new NumberedPublisher(proxy.origin, ROOMS, 500);
});

afterAll(async () => {
  for (const client of clients ?? []) client.leave();
  await proxy?.[Symbol.asyncDispose]();
  await Promise.all((gateways ?? []).map((gateway) => gateway[Symbol.asyncDispose]()));
  await redis?.[Symbol.asyncDispose]();
});

async function everybodyIsThere(): Promise<void> {
  await until(
    'all clients are in their rooms',
    () => clients.filter(({ joined }) => !joined).length,
    (away) => away === 0,
  );
}

/** Ends gateways as a deploy does, and starts others in their places. Resolves with how many sessions they closed, and with how many seconds that took the slowest, as they say. */
async function replace(indexes: readonly number[]): Promise<{ closes: number; seconds: number }> {
  const before = clients.map(({ closes }) => closes.length);
  const leaving = indexes.map((index) => gateways[index] as GatewayProcess);
  for (const gateway of leaving) gateway.signal('SIGTERM');
  expect(await Promise.all(leaving.map(({ exited }) => exited))).toMatchObject(leaving.map(() => ({ code: 0 })));
  const fresh = indexes.map((index) => gateways[index] as GatewayProcess).map(({ port, opsPort }) => startGatewayOn(port, opsPort, { args }));
  for (const [at, index] of indexes.entries()) gateways[index] = (await fresh[at]) as GatewayProcess;
  await everybodyIsThere();
  const closes = clients.flatMap((client, index) => client.closes.slice(before[index]));
  expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
  return { closes: closes.length, seconds: Math.max(...leaving.map(closingSeconds)) };
}

function closingSeconds({ lines }: GatewayProcess): number {
  const line = lines.all.find((text) => text.includes('"closing_ms"')) ?? '{}';
  return (JSON.parse(line) as { closing_ms: number }).closing_ms / 1000;
}

test('three gateways with 5,000 sockets are replaced, one alone and two at once: the fleet closes at its pace, and with history nobody misses or doubles anything', async () => {
  for (const leaving of [[0], [1, 2]]) {
    const { closes, seconds } = await replace(leaving);
    expect(closes).toBeGreaterThanOrEqual((CLIENTS * leaving.length) / 4);
    // A busy machine only adds to it.
    expect(seconds).toBeGreaterThan((0.9 * closes) / RATE);
  }
  await publisher.stop();
  await until(
    'everybody has the last message of its room',
    () => clients.filter(({ room, last }) => last !== publisher.last.get(room)).length,
    (behind) => behind === 0,
  );
  expect(clients.flatMap(({ faults }) => faults).slice(0, 10)).toEqual([]);
  expect(Math.min(...publisher.last.values())).toBeGreaterThan(5);
});
