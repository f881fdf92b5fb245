import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestGateway, until } from '../../gateway/test/support/gateway.ts';
import type { Bus, ConnectOptions, Room } from '../src/index.ts';
import { Channel } from '../src/tabs/channel.ts';
import { connect } from '../src/tabs/index.ts';
import type { Downward, Upward } from '../src/tabs/messages.ts';
import { TabLink } from '../src/tabs/tab-link.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';

let gateway: TestGateway;
let proxy: FaultProxy;
const tabs = new Set<Bus>();

beforeEach(async () => {
  gateway = await TestGateway.start([], [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }]);
  proxy = await FaultProxy.start(gateway.port);
});

afterEach(async () => {
  for (const tab of tabs) tab.close();
  tabs.clear();
  await proxy[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

/** One more tab. */
function open(options: ConnectOptions = {}): Bus {
  const tab = connect(`http://127.0.0.1:${proxy.port}/socket`, { transports: ['websocket'], ...options });
  tabs.add(tab);
  return tab;
}

function record(room: Room): unknown[] {
  const seen: unknown[] = [];
  room.on('message', ({ data }) => seen.push(data));
  room.on('gap', () => seen.push('gap'));
  return seen;
}

const joined = (...rooms: Room[]): Promise<void> => until(() => rooms.every(({ state }) => state === 'joined'), 'joined');

describe('tabs', () => {
  test('share one connection: each has its rooms and its answers', async () => {
    const [one, other] = [open(), open()];
    const [a, b] = [one.join('a'), other.join('b')];
    const [both, bothToo] = [one.join('both'), other.join('both')];
    const seen = [a, b, both, bothToo].map(record);
    await joined(a, b, both, bothToo);
    expect(proxy.open).toBe(1);
    await Promise.all([a.publish('to a'), b.publish('to b'), both.publish('to both')]);
    await until(() => seen.every((messages) => messages.length === 1), 'all have theirs');
    expect(seen).toEqual([['to a'], ['to b'], ['to both'], ['to both']]);
    await expect(other.join('x').publish('x'.repeat(70_000))).rejects.toMatchObject({ code: 'too_large' });
  });

  test('a room is left with the last tab that is in it, also where a tab is closed', async () => {
    const [one, other] = [open(), open()];
    const rooms = [one.join('r'), other.join('r')] as const;
    await joined(...rooms);
    expect(gateway.gateway.state.rooms).toBe(1);
    rooms[1].leave();
    await rooms[0].publish('still here');
    expect(gateway.gateway.state.rooms).toBe(1);
    tabs.delete(one);
    one.close();
    await until(() => gateway.gateway.state.rooms === 0, 'nobody is in the room');
  });

  test('another tab leads when the first is gone, and nothing is missed or seen twice', async () => {
    const [first, second, third] = [open(), open(), open()];
    const rooms = [first, second, third].map((tab) => tab.join('kept.1'));
    const seen = rooms.map(record);
    await joined(...rooms);
    for (const [gone, leading] of [
      [first, 1],
      [second, 2],
    ] as const) {
      await gateway.layer.publish('kept.1', `${leading}`);
      await until(() => seen[leading]?.at(-1) === leading, 'live');
      gone.close();
      await gateway.layer.publish('kept.1', `"without ${leading}"`);
      await until(() => seen[2]?.at(-1) === `without ${leading}`, 'what was missed');
    }
    expect(seen[2]).toEqual([1, 'without 1', 2, 'without 2']);
    await until(() => proxy.open === 1, 'one connection');
  });

  test('a tab whose leader is gone without a word knows it from the next one', async () => {
    const name = crypto.randomUUID();
    const heard: (Upward | Downward)[] = [];
    const leader = new Channel(name, (message) => heard.push(message));
    const told: string[] = [];
    const link = new TabLink(name, 'websocket', undefined, { frame: ({ type }) => told.push(type), heard: () => undefined, ended: () => told.push('ended') });
    await until(() => heard.length === 1, 'the tab asks');
    // Whoever leads only now has not heard it.
    leader.post({ down: 'lead' });
    await until(() => heard.length === 2, 'it asks again');
    expect(heard[1]).toEqual(heard[0]);
    const { tab } = heard[0] as Upward;
    for (const tabs of [['another'], [tab]]) leader.post({ down: 'frame', tabs, frame: { type: 'welcome', session: 's' } });
    leader.post({ down: 'lead' });
    await until(() => told.includes('ended'), 'the end');
    expect(told).toEqual(['welcome', 'ended']);
    link.close();
    leader.close();
  });

  test('a cut connection is one for all, and all go on where they were', async () => {
    const rooms = [open(), open()].map((tab) => tab.join('kept.1'));
    const seen = rooms.map(record);
    await joined(...rooms);
    proxy.cut();
    await gateway.layer.publish('kept.1', '1');
    await until(() => seen.every((messages) => messages.length === 1), 'what was missed');
    expect(seen).toEqual([[1], [1]]);
    expect(proxy.open).toBe(1);
  });

  test('a tab that comes later has what it asks for, and the others do not have it again', async () => {
    const first = open().join('kept.1');
    const seen = record(first);
    await joined(first);
    const { position } = await first.publish(1);
    await first.publish(2);
    const late = open().join('kept.1', { since: position });
    const lateSeen = record(late);
    await joined(late);
    await first.publish(3);
    await until(() => seen.at(-1) === 3 && lateSeen.at(-1) === 3, 'the last one');
    expect([seen, lateSeen]).toEqual([
      [1, 2, 3],
      [2, 3],
    ]);
  });
});
