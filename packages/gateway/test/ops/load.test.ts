import { newStats } from '@busgate/layer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FleetCalls } from '../../src/fleet/calls.ts';
import { LocalGateway } from '../../src/fleet/local.ts';
import { firstOf } from '../../src/fleet/selection.ts';
import type { Hub } from '../../src/hub.ts';
import { Client } from '../support/client.ts';
import { TestGateway, until } from '../support/gateway.ts';
import { KEY, Operator } from '../support/operator.ts';
import { RawClient, request } from '../support/raw.ts';
import { Stage } from '../support/stage.ts';

/** The longest that the loop may be held by one step of the API, in milliseconds; ten times what it is where the machine has nothing else to do. */
const HELD_MS = 100;

const LAYER = { process: 'stage', status: { state: 'connected', since: new Date(0) }, stats: newStats() } as const;

/** A gateway whose sessions have links of the test's own. */
function staged(stage: Stage): LocalGateway {
  const hub = { held: () => [...stage.rooms.values()], find: (name: string) => stage.rooms.get(name), rooms: stage.rooms.size } as unknown as Hub;
  return new LocalGateway({ layer: LAYER, hub, sessions: stage.sessions, version: '1', isDraining: () => false, layerMessage: 1_048_576 });
}

/** The longest turn of the loop while this goes on, in milliseconds of this process's own time. */
async function longestTurn(work: Promise<unknown>): Promise<number> {
  let isDone = false;
  let longest = 0;
  void work.finally(() => (isDone = true));
  for (let before = process.cpuUsage(); !isDone;) {
    await new Promise((resolve) => setImmediate(resolve));
    const { user, system } = process.cpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
    before = process.cpuUsage();
  }
  await work;
  return longest;
}

/** What holds the loop does so each time; the collector of garbage, whose threads count too, does not. */
async function leastOf(times: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let time = 0; time < times; time += 1) least = Math.min(least, await measure());
  return least;
}

test('a room of ten thousand is listed in pages, each session once, and no page holds the loop', async () => {
  const stage = new Stage();
  for (let n = 0; n < 10_000; n += 1) {
    const { session, members } = stage.session();
    stage.join(session, members, 'big');
    if (n % 3 === 0) stage.session();
  }
  const local = staged(stage);
  const seen = new Set<string>();
  let part: FleetCalls['sessions']['answer'];
  let after: number | undefined;
  let longest = 0;
  do {
    const asked = { room: 'big', limit: 1000, ...(after === undefined ? {} : { after }) };
    longest = Math.max(longest, await leastOf(3, () => longestTurn(local.answer('sessions', asked))));
    part = await local.answer('sessions', asked);
    expect(part.sessions.length).toBeLessThanOrEqual(1000);
    for (const { id } of part.sessions) {
      expect(seen.has(id)).toBe(false);
      seen.add(id);
    }
    after = part.next;
  } while (after !== undefined);
  expect(seen.size).toBe(10_000);
  expect(await local.answer('count', {})).toBe(13_334);
  expect(await local.answer('count', { room: 'big' })).toBe(10_000);
  expect(longest).toBeLessThan(HELD_MS);
});

test('a hundred thousand items are looked through in slices, and only the first are kept', async () => {
  const items = Array.from({ length: 100_000 }, (_, index) => (index * 7919) % 100_000);
  const find = (): Promise<number[]> => firstOf(items, 5, { key: (item) => item, after: 41_999 }, (item) => item % 2 === 0);
  expect(await leastOf(3, () => longestTurn(find()))).toBeLessThan(HELD_MS);
  expect(await find()).toEqual([42_000, 42_002, 42_004, 42_006, 42_008]);
});

test('an answer holds no more than a message of the layer, and the next part goes on where it ended', async () => {
  const stage = new Stage();
  const rooms = Array.from({ length: 900 }, (_, index) => `${'long.'.repeat(30)}${index}`);
  for (let n = 0; n < 10; n += 1) stage.session({ route: '/', rooms, text() {}, binary() {}, announceDrain() {}, end() {} });
  const local = staged(stage);
  let count = 0;
  for (let after: number | undefined = 0; after !== undefined;) {
    const part: FleetCalls['sessions']['answer'] = await local.answer('sessions', { limit: 1000, after });
    expect(JSON.stringify(part).length).toBeLessThan(600_000);
    expect(part.sessions.length).toBeGreaterThan(0);
    count += part.sessions.length;
    after = part.next;
  }
  expect(count).toBe(10);
});

let gateway: TestGateway;
let operator: Operator;
beforeAll(async () => {
  gateway = await TestGateway.start(['--ops-key', KEY]);
  operator = new Operator(`http://127.0.0.1:${gateway.gateway.ops.port}`);
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

test('a thousand closes at once: each session ends once with its code, others go on, and the ledger balances', async () => {
  await using other = await Client.multiplex(gateway.ws('/socket'));
  const clients = await inBatches(1000, () => RawClient.upgraded(gateway.port, '/room/closes'));
  const ids = (await operator.pages('/api/sessions?room=closes&limit=1000')).flatMap(({ sessions }) => sessions.map(({ id }) => id));
  expect(ids.length).toBe(1000);
  const { port } = gateway.gateway.ops;
  await using asking = await RawClient.connect(port);
  asking.write(...ids.map((id) => request(`DELETE /api/sessions/${id}?code=4000 HTTP/1.1`, 'Host: a', `Authorization: Bearer ${KEY}`)));
  for (const id of ids) expect(JSON.parse((await asking.answer()).body)).toEqual({ id, code: 4000 });
  expect(new Set(await Promise.all(clients.map((client) => client.closeCode())))).toEqual(new Set([4000]));
  expect(await other.ask({ type: 'join', room: 'after', ref: 1 })).toMatchObject({ type: 'joined' });
  for (const client of clients) client.socket.destroy();
  await until(() => gateway.gateway.sessions === 1, 'only the other one is left');
  const { due, sent, dropped, queued } = gateway.balance();
  expect(due).toBe(sent + dropped + queued);
});

test('who sends a body and never ends it, or hundreds of wrong keys, holds up nobody', async () => {
  const { port } = gateway.gateway.ops;
  const unended = await inBatches(200, (index) => begin(port, index % 2 === 0 ? KEY : 'wrong'));
  const wrong = await inBatches(300, async () => {
    await using client = await RawClient.connect(port);
    client.write(request('GET /api/fleet HTTP/1.1', 'Host: a', 'Authorization: Bearer wrong'));
    return (await client.answer()).status;
  });
  expect(new Set(wrong)).toEqual(new Set([401]));
  expect((await operator.get('/api/fleet')).status).toBe(200);
  expect((await operator.ask('POST', '/api/publish', { room: 'a', text: 'x' })).status).toBe(200);
  for (const client of unended) client.socket.destroy();
});

/** A connection whose body does not end. */
async function begin(port: number, key: string): Promise<RawClient> {
  const client = await RawClient.connect(port);
  client.write(request('POST /api/publish HTTP/1.1', 'Host: a', `Authorization: Bearer ${key}`, 'Content-Length: 1000'), '{"room":');
  return client;
}

async function inBatches<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count) made.push(...(await Promise.all(Array.from({ length: 50 }, (_, index) => make(made.length + index)))));
  return made;
}
