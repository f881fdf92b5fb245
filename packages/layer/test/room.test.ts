import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { RoomEvent } from '../src/contract.ts';
import type { HistoryPage } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import type { Position } from '../src/position.ts';
import { Room } from '../src/room.ts';
import { RoomBytes } from '../src/room-bytes.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const RULE = { rooms: 'r', size: 100, ageMs: 60_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const told = (event: RoomEvent): string =>
  event.gap === true ? 'GAP' : Buffer.from(event.payload).toString() + (event.position === undefined ? '' : ` ${event.position}`);

/** A room on a history that the test writes, and that answers when the test lets it. */
class Script {
  epoch = 'e';
  /** Whether each epoch began with nothing, and says so. */
  isFresh = false;
  /** What the history holds, by offset. */
  readonly kept = new Map<number, string>();
  head = 0;
  reads: (Position | undefined)[] = [];
  fault: LayerError | undefined;
  gate: Promise<void> | undefined;
  readonly stats = newStats();
  readonly log = new LogLines();
  readonly bytes = new RoomBytes();
  readonly room: Room;

  constructor(rule: typeof RULE | null = RULE) {
    const driver = scripted({ read: async (_room, _rule, after) => this.#read(after) });
    this.room = new Room('r', rule ?? undefined, { driver, stats: this.stats, logger: this.log, clock: new TestClock(), bytes: this.bytes });
  }

  static async started(head = 0): Promise<Script> {
    const script = new Script();
    for (let offset = 1; offset <= head; offset += 1) script.keep(offset);
    await script.room.start();
    return script;
  }

  keep(offset: number): void {
    this.kept.set(offset, `m${offset}`);
    this.head = Math.max(this.head, offset);
  }

  /** The broker lost what it had. */
  lose(epoch: string): void {
    this.epoch = epoch;
    this.kept.clear();
    this.head = 0;
  }

  /** Publishes: keeps it and gives it live, unless it is to be missed. */
  publish(offset: number, { missed = false } = {}): void {
    this.keep(offset);
    if (!missed) this.live(offset);
  }

  live(offset: number, previous = offset - 1): void {
    this.room.message(bytes(`m${offset}`), { epoch: this.epoch, offset, previous });
  }

  join(): string[] {
    const events: string[] = [];
    this.room.add((event) => events.push(told(event)), true);
    return events;
  }

  async #read(after: Position | undefined): Promise<HistoryPage> {
    this.reads.push(after);
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    const { epoch, head } = this;
    if (after === undefined || after.epoch !== epoch || after.offset > head)
      return { epoch, head, complete: false, messages: [], ...(this.isFresh && { fresh: true }) };
    const messages = [...this.kept].filter(([offset]) => offset > after.offset).map(([offset, text]) => ({ offset, payload: bytes(text) }));
    return { epoch, head, complete: messages.length === head - after.offset, messages };
  }
}

describe('a room without history', () => {
  test('gives each message to every listener, and a gap where the driver tells one', () => {
    const script = new Script(null);
    const listeners = [script.join(), script.join()];
    script.room.message(bytes('a'));
    script.room.gap();
    script.room.message(bytes('b'));
    for (const events of listeners) expect(events).toEqual(['a', 'GAP', 'b']);
    expect(script.stats).toMatchObject({ received: 2, gaps: 1, unpositioned: 0 });
  });

  test('a listener that throws is logged and stops nothing', () => {
    const script = new Script(null);
    script.room.add(() => {
      throw new Error('of the listener');
    }, true);
    const events = script.join();
    script.room.message(bytes('a'));
    expect([events, script.log.lines]).toEqual([['a'], ['error a room listener threw']]);
  });

  test('a listener that leaves while an event is given is not called any more', () => {
    const script = new Script(null);
    const events: string[] = [];
    script.room.add(() => script.room.remove(later), true);
    const later = script.room.add((event) => events.push(told(event)), true);
    script.room.message(bytes('a'));
    expect(events).toEqual([]);
    expect(script.room.remove(later)).toBe(false);
  });

  test('is quiet once closed', () => {
    const script = new Script(null);
    const events = script.join();
    script.room.close();
    script.room.message(bytes('a'));
    script.room.gap();
    expect([events, script.room.isEmpty]).toEqual([[], true]);
  });
});

describe('a room with history finds out what it missed', () => {
  test('nothing live is given before it knows where the history stands', async () => {
    const script = new Script();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    script.keep(1);
    const starting = script.room.start();
    const events = script.join();
    script.live(1);
    script.publish(2);
    expect(events).toEqual([]);
    script.head = 1;
    gate.resolve();
    await starting;
    expect(events).toEqual(['m2 e:2']);
  });

  test('a missed message is read from the history, in its place', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.publish(2, { missed: true });
    script.publish(3);
    script.publish(4);
    await settled();
    expect(events).toEqual(['m2 e:2', 'm3 e:3', 'm4 e:4']);
    expect(script.reads.slice(1)).toEqual([{ epoch: 'e', offset: 1 }]);
    expect(script.stats).toMatchObject({ gaps: 0, repaired: 1 });
  });

  test('a duplicate and an old message are not given again', async () => {
    const script = await Script.started();
    const events = script.join();
    script.publish(1);
    script.publish(2);
    script.live(2);
    script.live(1);
    expect(events).toEqual(['m1 e:1', 'm2 e:2']);
  });

  test('offsets may leave numbers out: the one before it is what counts', async () => {
    const script = await Script.started();
    const events = script.join();
    script.live(5, 0);
    script.live(9, 5);
    expect([events, script.reads.length]).toEqual([['m5 e:5', 'm9 e:9'], 1]);
  });

  test('what the history no longer has is a gap, then comes what it still has', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.publish(2, { missed: true });
    script.publish(3, { missed: true });
    script.kept.delete(2);
    script.publish(4);
    await settled();
    expect(events).toEqual(['GAP', 'm3 e:3', 'm4 e:4']);
    expect(script.stats).toMatchObject({ gaps: 1, repaired: 0 });
  });

  test('another epoch is one gap, before its first message', async () => {
    const script = await Script.started(3);
    const events = script.join();
    script.lose('f');
    script.publish(1);
    script.publish(2);
    expect(events).toEqual(['GAP', 'm1 f:1', 'm2 f:2']);
  });

  test('another epoch that the history tells first is one gap, and what has come live in it meanwhile is given', async () => {
    const script = await Script.started(3);
    const events = script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    script.room.gap();
    script.live(4);
    script.lose('f');
    script.publish(1, { missed: true });
    script.publish(2);
    script.publish(3);
    gate.resolve();
    await settled();
    script.publish(4);
    expect(events).toEqual(['GAP', 'm2 f:2', 'm3 f:3', 'm4 f:4']);
    expect(script.stats).toMatchObject({ gaps: 1, repaired: 0 });
  });

  test('an epoch that its history began with is one gap, and then all that it has still', async () => {
    for (const kept of [1, 5]) {
      const script = await Script.started(3);
      const events = script.join();
      script.isFresh = true;
      script.lose('f');
      for (let offset = kept; offset <= 6; offset += 1) script.publish(offset, { missed: true });
      script.room.gap();
      await settled();
      script.publish(7);
      expect(events).toEqual(['GAP', ...Array.from({ length: 8 - kept }, (_, index) => `m${kept + index} f:${kept + index}`)]);
      expect(script.stats.gaps).toBe(1);
    }
  });

  test('what comes late of the epoch that was left is not given, unless the history says that it is not over', async () => {
    const script = await Script.started(3);
    const events = script.join();
    script.lose('f');
    script.publish(1);
    script.room.message(bytes('late'), { epoch: 'e', offset: 4, previous: 3 });
    await settled();
    script.publish(2);
    script.epoch = 'e';
    script.publish(4);
    await settled();
    script.publish(5);
    expect(events).toEqual(['GAP', 'm1 f:1', 'm2 f:2', 'GAP', 'm4 e:4', 'm5 e:5']);
  });

  test('after the broker was away the history tells: all there, no gap; another epoch, one gap', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.publish(2, { missed: true });
    script.room.gap();
    await settled();
    expect(events).toEqual(['m2 e:2']);
    script.lose('f');
    script.room.gap();
    await settled();
    script.publish(1);
    expect(events).toEqual(['m2 e:2', 'GAP', 'm1 f:1']);
  });

  test('a gap while the history is being read is repaired by one more reading', async () => {
    const script = await Script.started(1);
    const events = script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    script.room.gap();
    script.room.gap();
    gate.resolve();
    script.publish(2, { missed: true });
    await settled();
    expect(events).toEqual(['m2 e:2']);
    expect(script.reads).toHaveLength(3);
  });

  test('what was published around the history is given live, without position, and counted', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.room.message(bytes('plain'));
    script.publish(2);
    expect(events).toEqual(['plain', 'm2 e:2']);
    expect(script.stats.unpositioned).toBe(1);
  });

  test('a history that cannot be read while the broker is away is read when it is back, also without a new message', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.fault = new LayerError('OUTCOME_UNKNOWN', 'the answer was lost');
    script.publish(2, { missed: true });
    script.publish(3);
    await settled();
    expect(events).toEqual([]);
    script.fault = undefined;
    script.room.reconnected();
    await settled();
    expect(events).toEqual(['m2 e:2', 'm3 e:3']);
    script.room.reconnected();
    expect(script.reads).toHaveLength(3);
  });

  test('a gap says where the room goes on: before the oldest that is kept, in another epoch, nowhere where that cannot be read', async () => {
    const script = await Script.started(2);
    const positions: (string | undefined)[] = [];
    script.room.add((event) => event.gap === true && positions.push(event.position), true);
    for (let offset = 3; offset <= 5; offset += 1) script.keep(offset);
    script.kept.delete(3);
    script.room.gap();
    await settled();
    script.head = 9;
    script.kept.clear();
    script.room.gap();
    await settled();
    script.epoch = 'f';
    script.head = 4;
    script.room.gap();
    await settled();
    script.room.goLiveWithGap(script.room.add((event) => positions.push(event.position), false));
    script.fault = new LayerError('TIMEOUT', 'no answer');
    script.room.gap();
    await settled();
    expect(positions).toEqual(['e:3', 'e:9', 'f:4', 'f:4', undefined, undefined]);
  });

  test('a history that cannot be read for another reason is a gap, and the room goes on', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.fault = new LayerError('TIMEOUT', 'no answer');
    script.publish(2, { missed: true });
    script.publish(3);
    await settled();
    script.publish(4);
    expect(events).toEqual(['GAP', 'm3 e:3', 'm4 e:4']);
    expect(script.log.lines).toEqual(['error history could not be read']);
  });
});

describe('what waits while the history is read is bounded by its bytes', () => {
  test('one that can be read again gives nothing of the same epoch twice', async () => {
    const script = await Script.started(3);
    script.isFresh = true;
    const events = script.join();
    script.fault = new LayerError('TIMEOUT', 'of the test');
    script.room.gap();
    await settled();
    script.fault = undefined;
    script.room.gap();
    await settled();
    script.publish(4);
    expect(events).toEqual(['GAP', 'm4 e:4']);
  });

  test('a gap says that a room goes on right before the first message of the new epoch, also where that knows of none before it', async () => {
    for (const isRead of [false, true]) {
      const script = await Script.started(3);
      const positions: unknown[] = [];
      script.room.add(({ position }) => positions.push(position), true);
      script.epoch = 'f';
      const gate = Promise.withResolvers<void>();
      script.gate = gate.promise;
      if (isRead) script.room.gap();
      script.keep(7);
      script.live(7, 0);
      gate.resolve();
      await settled();
      expect(positions).toEqual(['f:6', 'f:7']);
    }
  });

  test('what passes the bound is read from the history once more', async () => {
    const script = await Script.started(1);
    const events = script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    script.room.gap();
    const large = 'x'.repeat(300_000);
    for (let offset = 2; offset <= 9; offset += 1) {
      script.keep(offset);
      script.room.message(bytes(large), { epoch: 'e', offset, previous: offset - 1 });
    }
    expect(script.bytes.used).toBeLessThan(1_048_576);
    const later = [...script.kept].splice(1);
    for (const [offset] of later) script.kept.delete(offset);
    script.head = 1;
    script.gate = undefined;
    gate.resolve();
    await Promise.resolve();
    await Promise.resolve();
    for (const [offset] of later) script.keep(offset);
    await settled();
    expect(events.map((event) => event.split(' ')[1])).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((offset) => `e:${offset}`));
    expect(script.stats.gaps).toBe(0);
  });

  test('what was published around the history and passes it is a gap', async () => {
    const script = await Script.started(1);
    const events = script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    script.room.gap();
    for (const name of ['a', 'b', 'c']) script.room.message(bytes(name.repeat(400_000)));
    gate.resolve();
    await settled();
    expect(events.map((event) => event.slice(0, 3))).toEqual(['aaa', 'bbb', 'GAP']);
  });
});
