import { setImmediate } from 'node:timers/promises';
import { LayerError } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { ask } from './support/questions.ts';
import { StreamClient } from './support/stream.ts';

/** What PROTOCOL.md says of going on, in "Writing a client": by whatever wire follows which, at whatever gateway. */

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
const ROOMS = 'rooms=kept.a&rooms=kept.b';
let here: TestGateway;
let there: TestGateway;

beforeEach(async () => {
  here = await TestGateway.start([], HISTORY);
  there = await TestGateway.start([], HISTORY, here.bus);
});

afterEach(async () => {
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
});

/** Reads on from a place, or from now: what came until `last`, and the place after it. */
type Wire = (at: TestGateway, since: string, last: number) => Promise<readonly [numbers: unknown[], cursor: string]>;

const numbersOf = (frames: readonly { readonly [member: string]: unknown }[]): unknown[] => frames.flatMap(({ data }) => (data === undefined ? [] : [data]));

const WIRES: Readonly<Record<string, Wire>> = {
  'an event stream': async (at, since, last) => {
    await using stream = await StreamClient.open(at.port, `/socket?${ROOMS}${since}`);
    await stream.until(() => numbersOf(stream.frames).includes(last) && stream.events.at(-1)?.startsWith('id: ') === true);
    return [numbersOf(stream.frames), stream.lastId ?? ''];
  },
  'a stream of lines': async (at, since, last) => {
    await using stream = await StreamClient.openLines(at.port, `/socket?${ROOMS}${since}`);
    await stream.until(() => numbersOf(stream.lines).includes(last) && stream.lines.at(-1)?.type === 'cursor');
    return [numbersOf(stream.lines), String(stream.lines.at(-1)?.['cursor'])];
  },
  'a poll': async (at, since, last) => {
    const { messages, cursor } = await ask(at, `/socket?poll=30&${ROOMS}${since}`);
    expect(numbersOf(messages)).toContain(last);
    return [numbersOf(messages), cursor];
  },
};

describe.each(Object.entries(WIRES))('from the cursor of %s', (_, first) => {
  test.each(Object.entries(WIRES))('%s goes on at another gateway, with each message once', async (_name, second) => {
    await here.publish('kept.a', '1');
    await here.publish('kept.b', '2');
    const [before, cursor] = await first(here, '&last=9', 2);
    await here.publish('kept.b', '3');
    await here.publish('kept.a', '4');
    const [after] = await second(there, `&since=${cursor}`, 4);
    // Of two rooms each has its own order.
    expect([before, new Set(after), after.length]).toEqual([[1, 2], new Set([3, 4]), 2]);
  });
});

describe('a poll', () => {
  test('to which a room is added is answered at once with where that one stands, and one that is broken off has changed nothing', async () => {
    await here.publish('kept.b', '1');
    const { cursor } = await ask(here, '/socket', { body: { rooms: ['kept.a'] } });
    const left = new AbortController();
    const body = JSON.stringify({ rooms: ['kept.a'], since: cursor, poll: 30 });
    const asked = fetch(here.http('/socket'), { method: 'POST', body, headers: { 'Content-Type': 'application/json' }, signal: left.signal });
    await until(() => here.gateway.state.sessions.poll === 1, 'it waits');
    left.abort();
    await expect(asked).rejects.toThrow('abort');
    await here.publish('kept.a', '2');
    const both = await ask(there, '/socket', { body: { rooms: ['kept.a', 'kept.b'], since: cursor, poll: 30, last: 1 } });
    expect(numbersOf(both.messages)).toEqual([2, 1]);
    await here.publish('kept.b', '3');
    expect(numbersOf((await ask(there, '/socket', { body: { rooms: ['kept.a', 'kept.b'], since: both.cursor, poll: 30 } })).messages)).toEqual([3]);
  });

  test('goes on from the positions of a socket, and a socket from those of a poll', async () => {
    const [one = ''] = await here.publish('kept.a', '1');
    await using socket = await Client.multiplex(here.ws('/socket'));
    const joined = await socket.ask({ type: 'join', room: 'kept.a', ref: 1 });
    expect(joined['position']).toBe(one);
    await here.publish('kept.a', '2');
    const { messages } = await ask(there, '/socket', { body: { rooms: ['kept.a'], since: { 'kept.a': String(joined['position']) }, poll: 30 } });
    expect(numbersOf(messages)).toEqual([2]);
    await here.publish('kept.a', '3');
    await using next = await Client.multiplex(there.ws('/socket'));
    expect(await next.ask({ type: 'join', room: 'kept.a', since: String(messages[0]?.['position']), ref: 1 })).toMatchObject({ recovered: true });
    await next.until(() => numbersOf(next.frames).length > 0);
    expect(numbersOf(next.frames)).toEqual([3]);
  });
});

test('after a loss the position of joined is where a socket stands: what was kept does not come, and nothing from then on is missed', async () => {
  await here.publish('kept.a', '1', '2');
  await using lost = await Client.multiplex(here.ws('/socket'));
  const joined = await lost.ask({ type: 'join', room: 'kept.a', since: 'never:7', ref: 1 });
  await here.publish('kept.a', '3');
  await lost.until(() => numbersOf(lost.frames).length > 0);
  expect([joined['recovered'], lost.frames.slice(2).map(({ type, data }) => data ?? type)]).toEqual([false, ['gap', 3]]);
  await using next = await Client.multiplex(there.ws('/socket'));
  expect(await next.ask({ type: 'join', room: 'kept.a', since: String(joined['position']), ref: 1 })).toMatchObject({ recovered: true });
  await next.until(() => numbersOf(next.frames).length > 0);
  expect(numbersOf(next.frames)).toEqual([3]);
});

test('a raw socket from a place that is gone ends with 1012 where the route says on_gap: close, and stays where it does not', async () => {
  const paths = { close: 'path: "/strict/:room", on_gap: close', stay: 'path: "/room/:room"' };
  const routes = Object.values(paths).map((path) => `{${path}, kind: room, join: anyone, publish: anyone}`);
  await using gateway = await TestGateway.start(['--routes', `[${routes.join(', ')}]`], HISTORY, here.bus);
  const [position] = await here.publish('kept.a', '1');
  await using ended = await Client.open(gateway.ws('/strict/kept.a?since=another:7'));
  expect([await ended.closed(), ended.received]).toEqual([1012, []]);
  await using whole = await Client.open(gateway.ws(`/strict/kept.a?since=${position}`));
  await using staying = await Client.open(gateway.ws('/room/kept.a?since=another:7'));
  await here.publish('kept.a', '2');
  await whole.until(() => whole.received.length === 1);
  // From when it goes on nobody tells it.
  for (; staying.received.length === 0; await setImmediate()) await here.publish('kept.a', '3');
  expect([whole.received[0], staying.closeCode]).toEqual(['2', undefined]);
});

test.each(['text/event-stream', 'application/x-ndjson'])(
  'a stream of %s ends where the layer goes away before all rooms of its request are joined',
  async (accept) => {
    await here.publish('kept.a', '1');
    here.layer.history = () => Promise.reject(new LayerError('LAYER_AWAY', 'of the test'));
    await using stream = await StreamClient.ask(here.port, `/socket?${ROOMS}&last=9`, { accept });
    await stream.until(() => stream.isClosed);
    expect(stream.blocks.join()).not.toMatch(/error|cursor|^id:/m);
  },
);
