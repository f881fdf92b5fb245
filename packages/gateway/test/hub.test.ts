import { type ChannelLayer, isLayerError, LayerError, openLayer, type RoomEvent } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCounters } from '../src/counters.ts';
import { Slices } from '../src/hub/slices.ts';
import { Hub, type Layer } from '../src/hub.ts';
import { Replays } from '../src/limits/replays.ts';
import { rawEncoding } from '../src/routes/raw-encoding.ts';
import { until } from './support/gateway.ts';
import { PLAIN, Stage } from './support/stage.ts';

/** The memory layer, counted, and failing when the test says so. */
class Watched implements Layer {
  subscribed = 0;
  closed = 0;
  fails = false;
  /** What a subscription waits for. */
  gate: Promise<void> = Promise.resolve();
  readonly #layer: ChannelLayer;

  constructor(layer: ChannelLayer) {
    this.#layer = layer;
  }

  get status(): ChannelLayer['status'] {
    return this.#layer.status;
  }

  get capabilities(): ChannelLayer['capabilities'] {
    return this.#layer.capabilities;
  }

  publish: Layer['publish'] = async (room, payload) => {
    if (this.fails) throw new LayerError('LAYER_AWAY', 'away');
    return this.#layer.publish(room, payload);
  };

  history: Layer['history'] = (room, since, options) => this.#layer.history(room, since, options);

  subscribe: Layer['subscribe'] = async (room, listener, options) => {
    this.subscribed += 1;
    await this.gate;
    if (this.fails) throw new LayerError('LAYER_AWAY', 'away');
    const subscription = await this.#layer.subscribe(room, listener, options);
    return {
      ...subscription,
      close: async () => {
        this.closed += 1;
        await subscription.close();
      },
    };
  };
}

const LINGER = 30;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
let layer: ChannelLayer;
let watched: Watched;
let hub: Hub;
let stage: Stage;
const counters = createCounters();

beforeEach(async () => {
  layer = await openLayer(`memory:${crypto.randomUUID()}`, { history: [{ rooms: 'kept', size: 100, ageMs: 60_000 }] });
  watched = new Watched(layer);
  stage = new Stage();
  hub = new Hub({
    layer: watched,
    counters,
    log: SILENT,
    clock: { now: () => 0, defer: setImmediate },
    backlog: 1_000_000,
    linger: LINGER,
    maxRooms: 5,
    lossOf: () => undefined,
    replays: new Replays({ replay: { perSecond: 1e9, burst: 1e9 }, replayTotal: { perSecond: 1e9, burst: 1e9 } }, { now: () => 0, after: () => undefined }),
  });
});

afterEach(async () => {
  hub.close();
  await layer.close();
});

async function join(name: string) {
  const { session, link } = stage.session();
  const room = await hub.hold(name);
  const member = room.join(session, PLAIN);
  session.feed = member;
  return { member, link };
}

test('what thousands are due at once is done in slices, in the order they came', async () => {
  let now = 0;
  let slices = 0;
  const turns = new Slices({
    now: () => now,
    defer: (step) => {
      slices += 1;
      setImmediate(step);
    },
  });
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      await turns.turn();
      // Each takes a tenth of a millisecond.
      now += 0.1;
      order.push(index);
    }),
  );
  expect(order).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  expect(slices).toBeGreaterThanOrEqual(19);
});

describe('the hub', () => {
  test('tells what each call of the layer took, those that failed too', async () => {
    const calls: string[] = [];
    counters.layerCalls.onTaken = (call) => void calls.push(call);
    await join('kept');
    const { position } = await hub.publish('kept', 'x', 'http');
    await hub.history('kept', undefined, { last: 1 });
    await hub.before('kept', 1);
    await hub.recover('kept', position ?? '', () => undefined);
    watched.fails = true;
    await hub.publish('kept', 'y', 'http').catch(() => undefined);
    await expect(hub.hold('other')).rejects.toThrow('away');
    counters.layerCalls.onTaken = undefined;
    expect(calls).toEqual(['subscribe', 'publish', 'history', 'history', 'history', 'publish', 'subscribe']);
  });

  test('takes one subscription a room, however many come at once', async () => {
    const members = await Promise.all(Array.from({ length: 20 }, () => join('a')));
    expect([watched.subscribed, hub.rooms]).toEqual([1, 1]);
    await layer.publish('a', 'hello');
    await until(() => members.every(({ link }) => link.texts().length === 1), 'all have it');
    expect(hub.hold('a')).not.toBeInstanceOf(Promise);
  });

  test('lets a room go late, and not at all where somebody comes back', async () => {
    const first = await join('a');
    first.member.leave();
    const second = await join('a');
    const kept = await join('b');
    second.member.leave();
    await until(() => watched.closed === 1, 'the room is let go');
    expect(watched.subscribed).toBe(2);
    await layer.publish('b', 'still here');
    await until(() => kept.link.texts().length === 1, 'the other room lives');
    const third = await join('a');
    await layer.publish('a', 'again');
    await until(() => third.link.texts().length === 1, 'a room that was let go is taken again');
    expect(watched.subscribed).toBe(3);
  });

  test('holds so many rooms and no more: those that everybody has left make place, the longest left first', async () => {
    const [a, b] = [await join('a'), await join('b')];
    for (const name of ['c', 'd', 'e']) await join(name);
    const refusals = await Promise.allSettled([join('f'), join('f')]);
    expect(refusals.map((one) => one.status === 'rejected' && isLayerError(one.reason, 'CHANNEL_FULL'))).toEqual([true, true]);
    const again = await join('a');
    again.member.leave();
    b.member.leave();
    a.member.leave();
    await join('f');
    expect([watched.subscribed, watched.closed, hub.rooms]).toEqual([6, 1, 4]);
    await layer.publish('a', 'still held');
    await join('a');
    expect(watched.subscribed).toBe(6);
    await expect(join('b')).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
  });

  test('forgets a room that could not be subscribed, for all who waited, and tries again for the next', async () => {
    watched.fails = true;
    const results = await Promise.allSettled([join('a'), join('a')]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect([watched.subscribed, hub.rooms]).toEqual([1, 0]);
    watched.fails = false;
    const member = await join('a');
    await layer.publish('a', 'hello');
    await until(() => member.link.texts().length === 1, 'it has it');
  });

  test('a room that nobody joined after all is let go too, also while it is being subscribed', async () => {
    const gate = Promise.withResolvers<void>();
    watched.gate = gate.promise;
    const holding = Promise.resolve(hub.hold('a'));
    gate.resolve();
    (await holding).release();
    await until(() => watched.closed === 1, 'the room is let go');
    expect(hub.rooms).toBe(0);
  });

  test('gives what was missed in the same moment in which what follows begins', async () => {
    for (const text of ['1', '2', '3']) await layer.publish('kept', text);
    const room = await hub.hold('kept');
    const epoch = String(room.position).split(':')[0];
    expect(room.position).toBe(`${epoch}:3`);
    const seen: string[] = [];
    const { session, link } = stage.session();
    const publishing = layer.publish('kept', '4');
    await hub.recover('kept', `${epoch}:1`, ({ events, recovered, position }) => {
      seen.push(...events.map((event: RoomEvent) => Buffer.from(event.payload ?? []).toString()));
      expect(recovered).toBe(true);
      session.feed = room.join(session, PLAIN, undefined, position);
    });
    await publishing;
    await layer.publish('kept', '5');
    await until(() => link.texts().at(-1) === '5', 'what follows has come');
    expect([...seen, ...link.texts()]).toEqual(['2', '3', '4', '5']);
  });

  test('counts what the layer took and why it did not take the rest', async () => {
    const before = { published: counters.published, away: counters.publishFailures.away };
    await hub.publish('a', 'x', 'http');
    watched.fails = true;
    await expect(hub.publish('a', 'x', 'http')).rejects.toThrow('away');
    expect([counters.published - before.published, counters.publishFailures.away - before.away]).toEqual([1, 1]);
  });
});

test('a gap that says where the room goes on moves the room there, and tells streams of one room; one that does not leaves it where it was', () => {
  const room = stage.room('a');
  room.start('e:1');
  room.take({ gap: true, position: 'f:0' });
  expect(room.position).toBe('f:0');
  room.take({ gap: true });
  expect(room.position).toBe('f:0');
  expect(rawEncoding('auto', 'stay').encoder('a', true).gap(1, 'f:0')).toMatchObject({ named: { event: 'gap' }, position: 'f:0' });
});
