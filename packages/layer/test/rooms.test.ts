import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Driver, TopicSink } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { resolveOptions } from '../src/options.ts';
import { Rooms } from '../src/rooms.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const nothing = (): void => undefined;

/** Rooms over a driver that writes down what it is asked. */
function start(calls: Partial<Driver> = {}): { rooms: Rooms; asked: string[]; sinks: Map<string, TopicSink>; clock: TestClock; log: LogLines } {
  const asked: string[] = [];
  const sinks = new Map<string, TopicSink>();
  const clock = new TestClock();
  const log = new LogLines();
  const driver = scripted({
    subscribe: async ({ name }, sink) => {
      asked.push(`subscribe ${name}`);
      sinks.set(name, sink);
    },
    unsubscribe: async ({ name }) => {
      asked.push(`unsubscribe ${name}`);
    },
    read: async () => ({ epoch: 'e', head: 0, complete: false, messages: [] }),
    ...calls,
  });
  const options = resolveOptions({ history: [{ rooms: 'kept', size: 10, ageMs: 1000 }], logger: log });
  return { rooms: new Rooms(driver, options, newStats(), clock), asked, sinks, clock, log };
}

describe('the rooms of a process', () => {
  test('one subscription serves all listeners of a room; it is let go late after the last', async () => {
    const { rooms, asked, clock } = start();
    const subscriptions = await Promise.all([rooms.subscribe('a', nothing, undefined), rooms.subscribe('a', nothing, undefined)]);
    await subscriptions[0].close();
    clock.advance(5000);
    await settled();
    expect(asked).toEqual(['subscribe a']);
    await subscriptions[1].close();
    clock.advance(999);
    await settled();
    expect(asked).toEqual(['subscribe a']);
    clock.advance(1);
    await settled();
    expect(asked).toEqual(['subscribe a', 'unsubscribe a']);
  });

  test('who comes back in time finds the subscription still there; who comes later takes a new one', async () => {
    const { rooms, asked, clock } = start();
    for (const pause of [500, 500, 5000]) {
      const subscription = await rooms.subscribe('a', nothing, undefined);
      await subscription.close();
      clock.advance(pause);
      await settled();
    }
    await rooms.subscribe('a', nothing, undefined);
    expect(asked).toEqual(['subscribe a', 'unsubscribe a', 'subscribe a']);
  });

  test('who comes in the moment in which the room would be let go keeps it', async () => {
    const { rooms, asked, clock, sinks } = start();
    await (await rooms.subscribe('a', nothing, undefined)).close();
    const events: unknown[] = [];
    const joining = rooms.subscribe('a', (event) => events.push(event), undefined);
    clock.advance(1000);
    await joining;
    await settled();
    sinks.get('a')?.message(Buffer.from('x'));
    expect([asked, events.length]).toEqual([['subscribe a'], 1]);
  });

  test('who comes while the room is being let go waits, and takes a new subscription', async () => {
    const gate = Promise.withResolvers<void>();
    const { rooms, asked, clock } = start({
      unsubscribe: async () => {
        asked.push('unsubscribing');
        await gate.promise;
        asked.push('unsubscribed');
      },
    });
    await (await rooms.subscribe('a', nothing, undefined)).close();
    clock.advance(1000);
    await settled();
    const joining = rooms.subscribe('a', nothing, undefined);
    await settled();
    gate.resolve();
    await joining;
    expect(asked).toEqual(['subscribe a', 'unsubscribing', 'unsubscribed', 'subscribe a']);
  });

  test('a subscription that fails leaves nothing behind', async () => {
    let broken = true;
    const { rooms, sinks } = start({
      subscribe: async ({ name }, sink) => {
        if (broken) throw new LayerError('LAYER_AWAY', 'away');
        sinks.set(name, sink);
      },
    });
    await expect(rooms.subscribe('a', nothing, undefined)).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    broken = false;
    const events: unknown[] = [];
    await rooms.subscribe('a', (event) => events.push(event), undefined);
    sinks.get('a')?.message(Buffer.from('x'));
    expect(events).toHaveLength(1);
  });

  test('where the history cannot be read the subscription is taken back', async () => {
    const { rooms, asked } = start({
      read: async () => {
        throw new LayerError('OUTCOME_UNKNOWN', 'lost');
      },
    });
    await expect(rooms.subscribe('kept', nothing, undefined)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(asked).toEqual(['subscribe kept', 'unsubscribe kept']);
  });

  test('where the replay fails the listener is out again, and an empty room is let go', async () => {
    let reads = 0;
    const { rooms, asked, clock, sinks } = start({
      read: async () => {
        reads += 1;
        if (reads > 1) throw new LayerError('OUTCOME_UNKNOWN', 'lost');
        return { epoch: 'e', head: 1, complete: false, messages: [] };
      },
    });
    const events: unknown[] = [];
    await expect(rooms.subscribe('kept', (event) => events.push(event), 'e:0')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    sinks.get('kept')?.message(Buffer.from('x'), { epoch: 'e', offset: 2, previous: 1 });
    clock.advance(1000);
    await settled();
    expect([events, asked]).toEqual([[], ['subscribe kept', 'unsubscribe kept']]);
  });

  test('a subscription under way when the layer closes rejects, and nothing is let go afterwards', async () => {
    const gate = Promise.withResolvers<void>();
    const { rooms, asked, clock } = start({ subscribe: async () => gate.promise });
    const joining = rooms.subscribe('a', nothing, undefined);
    const ended = expect(joining).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    await settled();
    rooms.close(new LayerError('LAYER_CLOSED', 'closed'));
    gate.resolve();
    await ended;
    clock.advance(5000);
    await settled();
    expect([asked, clock.pending]).toEqual([[], 0]);
  });

  test('what was lost beyond a partition of the broker is a gap in live rooms, and is read where there is a history', async () => {
    const page = { epoch: 'e', head: 1, complete: true, messages: [{ offset: 1, payload: Buffer.from('missed') }] };
    const { rooms } = start({ read: async (_room, _rule, after) => (after === undefined ? { ...page, head: 0, messages: [] } : page) });
    const events: string[] = [];
    for (const name of ['live', 'kept'])
      await rooms.subscribe(name, ({ gap, payload }) => events.push(`${name} ${gap ?? Buffer.from(payload).toString()}`), undefined);
    rooms.missed();
    await settled();
    expect(events).toEqual(['live true', 'kept missed']);
  });

  test('once closed nobody is called any more, whatever still comes', async () => {
    const { rooms, sinks } = start();
    const events: unknown[] = [];
    const subscription = await rooms.subscribe('a', (event) => events.push(event), undefined);
    rooms.close(new LayerError('LAYER_CLOSED', 'closed'));
    sinks.get('a')?.message(Buffer.from('x'));
    sinks.get('a')?.gap();
    await subscription.close();
    expect(events).toEqual([]);
  });

  test('a room that cannot be let go is logged, and can be taken again', async () => {
    const { rooms, asked, clock, log } = start({
      unsubscribe: async () => {
        throw new LayerError('OUTCOME_UNKNOWN', 'lost');
      },
    });
    await (await rooms.subscribe('a', nothing, undefined)).close();
    clock.advance(1000);
    await settled();
    expect(log.lines).toEqual(['warn room could not be let go']);
    await rooms.subscribe('a', nothing, undefined);
    expect(asked).toEqual(['subscribe a', 'subscribe a']);
  });
});
