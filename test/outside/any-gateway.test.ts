import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway, startGatewayOn } from '../support/processes.ts';
import { RunningProxy } from './support/proxies.ts';
import { NumberedPublisher } from './support/returning.ts';
import { until } from '../support/until.ts';
import { Wanderer, WAYS } from './support/wanderer.ts';

const CLIENTS = 300;
const ROOMS = Array.from({ length: 10 }, (_, index) => `kept.${index}`);
/** Visits of each client between two kills. */
const MOVES = 3;

let redis: Broker;
let args: readonly string[];
let gateways: GatewayProcess[];
let proxy: RunningProxy;
let clients: Wanderer[] = [];
let publisher: NumberedPublisher | undefined;

beforeAll(async () => {
  redis = await startRedis();
  args = ['--demo', '--history', '[{rooms: "kept.>", size: 1000, age: 10m}]', '--layer', redis.url];
  gateways = await Promise.all([1, 2, 3].map(() => startGateway({ args })));
  proxy = await (await RunningProxy.start('haproxy', gateways, (text) => text.replace('balance leastconn', 'balance roundrobin'))).ready();
});

afterAll(async () => {
  await Promise.all([publisher?.stop(), ...clients.map((client) => client.stop())]);
  await proxy?.[Symbol.asyncDispose]();
  await Promise.all((gateways ?? []).map((gateway) => gateway[Symbol.asyncDispose]()));
  await redis?.[Symbol.asyncDispose]();
});

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const visitsOf = ({ visits }: Wanderer): number => WAYS.reduce((sum, way) => sum + visits[way], 0);

async function everybodyMoves(): Promise<void> {
  const before = clients.map(visitsOf);
  await until(
    `each client goes on ${MOVES} times`,
    () => clients.filter((client, index) => visitsOf(client) < (before[index] as number) + MOVES).length,
    (staying) => staying === 0,
  );
}

test('300 clients that change wire and gateway again and again, while each gateway is killed once, have each message of their rooms once and in order', async () => {
  clients = Array.from({ length: CLIENTS }, (_, n) => new Wanderer(proxy.origin, ROOMS[n % ROOMS.length] as string, randomFrom(n)));
  await until(
    'all clients have a place',
    () => clients.filter(({ isThere }) => !isThere).length,
    (away) => away === 0,
  );
  publisher = new NumberedPublisher(proxy.origin, ROOMS, 100, (n) => `m${n}`);
  await everybodyMoves();
  for (const [index, { port, opsPort }] of [...gateways].entries()) {
    await gateways[index]?.kill();
    await everybodyMoves();
    gateways[index] = await startGatewayOn(port, opsPort, { args });
    await everybodyMoves();
  }
  await publisher.stop();
  const { last } = publisher;
  await until(
    'everybody has the last message of its room',
    () => clients.filter((client) => client.last !== last.get(client.room)).length,
    (behind) => behind === 0,
  );
  expect(clients.flatMap(({ faults }) => faults).slice(0, 10)).toEqual([]);
  for (const way of WAYS) expect(clients.filter(({ visits }) => visits[way] > 0).length, way).toBeGreaterThan(CLIENTS / 4);
});
