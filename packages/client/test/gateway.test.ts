import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { TestGateway, until } from '../../gateway/test/support/gateway.ts';
import { type Bus, connect, type Room } from '../src/index.ts';

const HISTORY = ['kept', 'kept.>'].map((rooms) => ({ rooms, size: 1000, ageMs: 60_000 }));
let gateway: TestGateway;
let bus: Bus | undefined;
/** The page remembers what worked: each test is on a path of its own. */
let paths = 0;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  bus?.close();
  await gateway[Symbol.asyncDispose]();
});

function record(room: Room): unknown[] {
  const said: unknown[] = [];
  room.on('message', ({ data }) => said.push(data));
  room.on('gap', () => said.push('gap'));
  return said;
}

class Forbidden {
  constructor() {
    throw new Error('no WebSocket here');
  }
}

test("the class of 'ws' does in place of a global one, and is one to the types", async () => {
  bus = connect(gateway.http('/socket'), { WebSocket, transports: ['websocket'] });
  const said = record(bus.join('kept'));
  await bus.ready;
  await bus.join('kept').publish('hi');
  await until(() => said.includes('hi'), 'the message has come');
  expect(bus.transport).toBe('websocket');
});

describe('where no WebSocket gets through', () => {
  test('a page is given a stream by itself: it joins, publishes, leaves, and is told everything once and in order', async () => {
    bus = connect(`${gateway.http('/socket')}?test=${(paths += 1)}`, { WebSocket: Forbidden as never });
    const [kept, live] = [bus.join('kept'), bus.join('live')];
    const [first, second] = [record(kept), record(live)];
    await until(() => kept.state === 'joined' && live.state === 'joined', 'both are joined');
    expect(bus.transport).toBe('sse');
    const positions = await Promise.all(Array.from({ length: 20 }, (_, n) => kept.publish(n)));
    expect(new Set(positions.map(({ position }) => position)).size).toBe(20);
    await live.publish('text');
    await until(() => first.length === 20 && second.length === 1, 'all have come');
    expect([first, second]).toEqual([[...Array(20).keys()], ['text']]);
    live.leave();
    await until(() => gateway.gateway.state.rooms === 1, 'it has left');
    expect(gateway.gateway.counters.opened.sse).toBe(1);
  });

  test('it goes on where it was when its gateway is stopped and another one has its place', async () => {
    const other = await TestGateway.start([], HISTORY, gateway.bus);
    bus = connect(`${gateway.http('/socket')}?test=${(paths += 1)}`, { WebSocket: Forbidden as never });
    const kept = bus.join('kept');
    const said = record(kept);
    await until(() => kept.state === 'joined', 'it is joined');
    await other.layer.publish('kept', '1');
    await until(() => said.length === 1, 'the first has come');
    await gateway.gateway.close();
    await other.layer.publish('kept', '2');
    const { port } = gateway;
    await gateway[Symbol.asyncDispose]();
    gateway = await TestGateway.start(['--port', String(port)], HISTORY, other.bus);
    await until(() => said.length === 2, 'what it missed has come');
    await other.layer.publish('kept', '3');
    await until(() => said.length === 3, 'and what comes then');
    expect(said).toEqual([1, 2, 3]);
    await other[Symbol.asyncDispose]();
  });
});

test.each(['websocket', 'sse', 'poll'] as const)('what is published right behind a join comes back from the room, once: %s', async (transport) => {
  bus = connect(`${gateway.http('/socket')}?test=${(paths += 1)}`, { transports: [transport] });
  const rooms = Array.from({ length: 20 }, (_, n) => (bus as Bus).join(`kept.${n}`));
  const said = rooms.map(record);
  const isThere = (text: string) => (): boolean => said.every((of) => of.at(-1) === text);
  await Promise.all(rooms.map((room) => room.publish('first')));
  await until(isThere('first'), 'all have come back');
  await Promise.all(rooms.map((room) => room.publish('second')));
  await until(isThere('second'), 'so have the next ones');
  expect(said).toEqual(rooms.map(() => ['first', 'second']));
});
