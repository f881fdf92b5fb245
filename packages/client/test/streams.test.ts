import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { until } from '../../gateway/test/support/gateway.ts';
import { type Bus, connect, type ConnectOptions, type Room } from '../src/index.ts';
import { LetterGateway } from './support/letter.ts';

let gateway: LetterGateway;
let bus: Bus | undefined;
/** The page remembers what worked: each test is on a path of its own. */
let paths = 0;

beforeEach(async () => {
  gateway = await LetterGateway.start();
});

afterEach(async () => {
  bus?.close();
  await gateway[Symbol.asyncDispose]();
});

function open(options: ConnectOptions = {}): Bus {
  bus = connect(`${gateway.url}?test=${(paths += 1)}`, options);
  return bus;
}

function record(room: Room): unknown[] {
  const texts: unknown[] = [];
  room.on('message', ({ text }) => texts.push(text));
  room.on('gap', () => texts.push('gap'));
  return texts;
}

describe.each(['sse', 'poll'] as const)('over %s', (transport) => {
  test('rooms are joined, with their last messages, and messages come in order', async () => {
    for (const text of ['0', '1', '2']) gateway.publish('kept', text);
    const room = open({ transports: [transport] }).join('kept', { last: 2 });
    const texts = record(room);
    await until(() => room.state === 'joined', 'joined');
    const published = await Promise.all([3, 4, 5].map((n) => room.publish(n)));
    expect(published.map(({ position }) => position)).toEqual(['e:4', 'e:5', 'e:6']);
    gateway.publish('kept', '6');
    await until(() => texts.length === 6, 'all');
    expect(texts).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(bus?.transport).toBe(transport);
  });

  test('a room that is joined later misses nothing, and the others go on', async () => {
    open({ transports: [transport] });
    const one = bus?.join('one') as Room;
    const texts = record(one);
    await until(() => one.state === 'joined', 'joined');
    const position = gateway.publish('other', 'old');
    gateway.publish('other', 'missed');
    const other = bus?.join('other', { since: position }) as Room;
    const others = record(other);
    gateway.publish('one', 'a');
    await until(() => other.state === 'joined' && others.length === 1, 'what was missed');
    gateway.publish('other', 'live');
    gateway.publish('one', 'b');
    await until(() => texts.length === 2 && others.length === 2, 'all');
    expect([texts, others]).toEqual([
      ['a', 'b'],
      ['missed', 'live'],
    ]);
    one.leave();
    gateway.publish('one', 'c');
    gateway.publish('other', 'd');
    await until(() => others.length === 3, 'the marker');
    expect(texts).toEqual(['a', 'b']);
  });
});

describe('an event stream', () => {
  test('that is cut goes on where it was', async () => {
    const room = open({ transports: ['sse'] }).join('kept');
    const texts = record(room);
    await until(() => room.state === 'joined', 'joined');
    for (const text of ['a', 'b']) {
      gateway.publish('kept', text);
      gateway.cut();
      gateway.publish('kept', `${text} away`);
      await until(() => texts.at(-1) === `${text} away`, 'what was missed');
    }
    expect(texts).toEqual(['a', 'a away', 'b', 'b away']);
  });

  test('sends what waits as one list, and again where the gateway says later', async () => {
    const room = open({ transports: ['sse'] }).join('kept');
    await until(() => room.state === 'joined', 'joined');
    gateway.refusals.push(503, 503);
    await Promise.all(Array.from({ length: 50 }, (_, n) => room.publish(n)));
    const sent = gateway.lists.map((list) => list.filter(({ type }) => type === 'publish'));
    expect(sent.flat().map((frame) => (frame as { data: unknown }).data)).toEqual([...Array(50).keys()]);
    expect(sent.filter((list) => list.length > 0).length).toBeLessThan(10);
  });

  test('says what was too large, and goes on', async () => {
    const room = open({ transports: ['sse'] }).join('kept');
    await until(() => room.state === 'joined', 'joined');
    gateway.refusals.push(413);
    await expect(room.publish('x'.repeat(100_000))).rejects.toMatchObject({ code: 'too_large' });
    expect(await room.publish(1)).toEqual({ position: 'e:1' });
    expect(bus?.transport).toBe('sse');
  });

  test('whose session is gone is opened anew', async () => {
    const room = open({ transports: ['sse'] }).join('kept');
    await until(() => room.state === 'joined', 'joined');
    gateway.refusals.push(404);
    await expect(room.publish(1)).rejects.toMatchObject({ code: 'unknown' });
    await until(() => bus?.state === 'open' && room.state === 'joined', 'open again');
    expect(gateway.asked).toEqual(['sse', 'sse']);
    expect(await room.publish(2)).toEqual({ position: 'e:1' });
  });
});

test('over polls too what is published behind a join waits until it is known where the room stands, and comes back from it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.polls = promise;
  const room = open({ transports: ['poll'] }).join('kept');
  const texts = record(room);
  const published = room.publish(1);
  await until(() => gateway.asked.length > 0, 'it is asked where the room stands');
  // A request that is sent after a publish that does not wait.
  await fetch(`${gateway.url}?poll=0`);
  expect(gateway.asked).toEqual(['poll']);
  resolve();
  expect(await published).toEqual({ position: 'e:1' });
  await until(() => texts.length > 0, 'it comes back');
  gateway.publish('kept', '2');
  await until(() => texts.length > 1, 'the next one');
  expect(texts).toEqual(['1', '2']);
});

test('polled publishes wait for no room that is left or refused, and such a room is polled no more', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.polls = promise;
  open({ transports: ['poll'] });
  const [kept, live, left] = ['kept', 'live.1', 'left'].map((name) => bus?.join(name) as Room) as [Room, Room, Room];
  const refused = live.publish(1);
  await until(() => gateway.asked.length > 0, 'it is asked where the rooms stand');
  left.leave();
  resolve();
  expect(await refused).toEqual({ position: 'e:1' });
  await until(() => live.state === 'left', 'it is refused');
  expect(await kept.publish(2)).toEqual({ position: 'e:1' });
  expect(gateway.polled).toEqual(['kept']);
});

test('polled rooms without history end with no_history, and the others are polled all the same', async () => {
  open({ transports: ['poll'] });
  const [live, kept] = [bus?.join('live.1') as Room, bus?.join('kept') as Room];
  const texts = record(kept);
  await until(() => live.state === 'left' && kept.state === 'joined', 'both are answered');
  expect(live.error?.code).toBe('no_history');
  gateway.publish('kept', 'a');
  await until(() => texts.length === 1, 'the message');
});

test('where no WebSocket and no stream gets through, a page polls by itself, and has every message', async () => {
  gateway.isBuffering = true;
  const room = open().join('kept');
  const texts = record(room);
  await until(() => room.state === 'joined', 'joined');
  gateway.publish('kept', 'a');
  await until(() => texts.length === 1, 'the message');
  expect([bus?.transport, new Set(gateway.asked)]).toEqual(['poll', new Set(['sse', 'poll'])]);
});

test('what is due by the time that a listener is done is done at once, and no timer runs backwards', async () => {
  using timers = vi.spyOn(globalThis, 'setTimeout');
  const now = performance.now.bind(performance);
  let taken = 0;
  using _clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + taken);
  const states: string[] = [];
  open({ transports: ['sse'] }).on('state', (state) => {
    states.push(state);
    if (state === 'waiting') taken = 5000;
  });
  await until(() => states.includes('open'), 'it is open');
  gateway.cut();
  await until(() => states.at(-1) === 'open' && states.includes('waiting'), 'it is open again');
  expect(states).toEqual(['open', 'waiting', 'connecting', 'open']);
  expect(timers.mock.calls.filter(([, ms = 0]) => ms < 0)).toEqual([]);
});
