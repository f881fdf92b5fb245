import type { ChannelLayer } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TestGateway } from './support/gateway.ts';
import { KEY } from './support/operator.ts';
import { RawClient, upgrade } from './support/raw.ts';

const HISTORY = [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }];

let gateway: TestGateway;
let logged: string[];

beforeEach(async () => {
  logged = [];
  const error = (message: string): void => void logged.push(message);
  const log = { dropped: 0, debug() {}, info() {}, warn() {}, error };
  gateway = await TestGateway.start(['--ops-key', KEY, '--history', '[{rooms: "kept.>", size: 10, age: 60s}]'], HISTORY, crypto.randomUUID(), log);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

type Call = 'publish' | 'subscribe' | 'history';
type Door = readonly [name: string, call: Call, ask: () => Promise<number>, good: number];

async function get(path: string, accept: string): Promise<number> {
  const stop = new AbortController();
  const { status } = await fetch(gateway.http(path), { headers: { Accept: accept }, signal: stop.signal });
  stop.abort();
  return status;
}

async function post(url: string, body: string, headers: Record<string, string> = {}): Promise<number> {
  return (await fetch(url, { method: 'POST', headers, body })).status;
}

async function socket(): Promise<number> {
  await using client = await RawClient.connect(gateway.port);
  client.write(upgrade('/room/1'));
  return (await client.head()).status;
}

const ops = (): string => `http://127.0.0.1:${gateway.gateway.ops.port}/api`;
const operator = { Authorization: `Bearer ${KEY}` };

/** Every way in, and what it asks of the layer. */
const DOORS: readonly Door[] = [
  ['a POST', 'publish', () => post(gateway.http('/room/1'), 'x'), 202],
  ['a frame by POST', 'publish', () => post(gateway.http('/socket'), '{"type":"publish","room":"r","data":1}', { 'Content-Type': 'application/json' }), 202],
  ['a WebSocket', 'subscribe', socket, 101],
  ['an event stream', 'subscribe', () => get('/room/1', 'text/event-stream'), 200],
  ['a stream of lines', 'subscribe', () => get('/room/1', 'application/x-ndjson'), 200],
  ['a history', 'history', () => get('/room/kept.1?last=1', 'application/json'), 200],
  ['a poll', 'history', () => get('/room/kept.1?poll=1', 'application/json'), 200],
  ['a poll of many rooms', 'history', () => get('/socket?poll=0&rooms=kept.1&rooms=kept.2', 'application/json'), 200],
  ['a history of an operator', 'history', async () => (await fetch(`${ops()}/rooms/kept.1/history`, { headers: operator })).status, 200],
];

/** As a bug would: at once, or in the promise. */
const WAYS: readonly (readonly [name: string, fail: (layer: ChannelLayer, call: Call) => void])[] = [
  ['thrown', (layer, call) => vi.spyOn(layer, call).mockImplementationOnce(() => { throw new TypeError('a bug'); })], // prettier-ignore
  ['rejected', (layer, call) => vi.spyOn(layer, call).mockRejectedValueOnce(new TypeError('a bug'))],
];

test('behind one room of many to which an operator publishes is that room’s, and logged', async () => {
  vi.spyOn(gateway.layer, 'publish').mockRejectedValueOnce(new TypeError('a bug'));
  const sent = await fetch(`${ops()}/publish`, { method: 'POST', headers: operator, body: '{"rooms":["a","b"],"data":1}' });
  expect([sent.status, await sent.json()]).toEqual([200, { results: [{ room: 'a', error: 'internal' }, { room: 'b' }] }]);
  expect(logged).toEqual(['an operator’s message could not be published']);
});

describe.each(WAYS)('an error that nobody expected, %s', (_, fail) => {
  test.each(DOORS)('behind %s is 500 and logged, and the next one is served', async (_name, call, ask, good) => {
    fail(gateway.layer, call);
    expect(await ask()).toBe(500);
    expect(logged).toHaveLength(1);
    expect(await ask()).toBe(good);
    expect(logged).toHaveLength(1);
  });
});
