import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomEvent } from '../src/contract.ts';
import type { HistoryPage } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import type { Position } from '../src/position.ts';
import { Room } from '../src/room.ts';
import { newStats } from '../src/stats.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const RULE = { rooms: 'r', size: 100, ageMs: 60_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const told = (event: RoomEvent): string =>
  event.gap === true ? 'GAP' : Buffer.from(event.payload).toString() + (event.position === undefined ? '' : ` ${event.position}`);

/** A room on a history that the test writes, and that answers when the test lets it. */
class Script {
  epoch = 'e';
  /** What the history holds, by offset. */
  readonly kept = new Map<number, string>();
  head = 0;
  reads: (Position | undefined)[] = [];
  fault: LayerError | undefined;
  gate: Promise<void> | undefined;
  readonly stats = newStats();
  readonly log = new LogLines();
  readonly room: Room;

  constructor(rule: typeof RULE | null = RULE) {
    this.room = new Room('r', rule ?? undefined, scripted({ read: async (_room, _rule, after) => this.#read(after) }), this.stats, this.log);
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
    this.room.add((event) => events.push(told(event)), false);
    return events;
  }

  async #read(after: Position | undefined): Promise<HistoryPage> {
    this.reads.push(after);
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    const { epoch, head } = this;
    if (after === undefined || after.epoch !== epoch || after.offset > head) return { epoch, head, complete: false, messages: [] };
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
    }, false);
    const events = script.join();
    script.room.message(bytes('a'));
    expect([events, script.log.lines]).toEqual([['a'], ['error a room listener threw']]);
  });

  test('a listener that leaves while an event is given is not called any more', () => {
    const script = new Script(null);
    const events: string[] = [];
    script.room.add(() => script.room.remove(later), false);
    const later = script.room.add((event) => events.push(told(event)), false);
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
    script.epoch = 'f';
    script.kept.clear();
    script.head = 0;
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
    script.epoch = 'f';
    script.kept.clear();
    script.head = 0;
    script.publish(1, { missed: true });
    script.publish(2);
    script.publish(3);
    gate.resolve();
    await settled();
    script.publish(4);
    expect(events).toEqual(['GAP', 'm2 f:2', 'm3 f:3', 'm4 f:4']);
    expect(script.stats).toMatchObject({ gaps: 1, repaired: 0 });
  });

  test('after the broker was away the history tells: all there, no gap; another epoch, one gap', async () => {
    const script = await Script.started(1);
    const events = script.join();
    script.publish(2, { missed: true });
    script.room.gap();
    await settled();
    expect(events).toEqual(['m2 e:2']);
    script.epoch = 'f';
    script.kept.clear();
    script.head = 0;
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

describe('a listener with since', () => {
  test('gets what followed, then goes live, with neither gap nor duplicate where they overlap', async () => {
    const script = await Script.started(3);
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const events: string[] = [];
    const member = script.room.add((event) => events.push(told(event)), true);
    const replaying = script.room.replay(member, { epoch: 'e', offset: 1 });
    script.publish(4);
    gate.resolve();
    script.publish(5, { missed: true });
    await expect(replaying).resolves.toBe(true);
    expect(events).toEqual(['m2 e:2', 'm3 e:3', 'm4 e:4', 'm5 e:5']);
    expect(script.room.positionOf(member)).toEqual({ epoch: 'e', offset: 5 });
    script.live(5);
    script.publish(6);
    expect(events.slice(4)).toEqual(['m6 e:6']);
  });

  test.each([
    ['of another epoch', { epoch: 'x', offset: 1 }],
    ['beyond the newest', { epoch: 'e', offset: 9 }],
    ['that is no position', undefined],
    ['that is too old', { epoch: 'e', offset: 0 }],
  ])('one %s gets a gap, then what came meanwhile', async (_, since) => {
    const script = await Script.started(3);
    script.kept.delete(1);
    const events: string[] = [];
    const member = script.room.add((event) => events.push(told(event)), true);
    const replaying = script.room.replay(member, since);
    script.publish(4);
    await expect(replaying).resolves.toBe(false);
    script.publish(5);
    expect(events).toEqual(['GAP', 'm4 e:4', 'm5 e:5']);
    expect(script.room.positionOf(member)).toEqual({ epoch: 'e', offset: 5 });
  });

  test('more messages during the replay than are kept back: they are read from the history too', async () => {
    const script = await Script.started(1);
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const events: string[] = [];
    const member = script.room.add((event) => events.push(told(event)), true);
    const replaying = script.room.replay(member, { epoch: 'e', offset: 0 });
    for (let offset = 2; offset <= 10_500; offset += 1) script.publish(offset);
    script.head = 1;
    const later = [...script.kept].splice(1);
    for (const [offset] of later) script.kept.delete(offset);
    gate.resolve();
    await Promise.resolve();
    await Promise.resolve();
    script.head = 10_500;
    for (const [offset, text] of later) script.kept.set(offset, text);
    await expect(replaying).resolves.toBe(true);
    expect(events).toEqual(Array.from({ length: 10_500 }, (_, index) => `m${index + 1} e:${index + 1}`));
  });

  test('more messages during a replay that fails than are kept back: the gap stands for them too', async () => {
    const script = await Script.started(1);
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const events: string[] = [];
    const member = script.room.add((event) => events.push(told(event)), true);
    const replaying = script.room.replay(member, { epoch: 'x', offset: 0 });
    for (let offset = 2; offset <= 10_500; offset += 1) script.publish(offset);
    gate.resolve();
    await expect(replaying).resolves.toBe(false);
    script.publish(10_501);
    expect(events).toEqual(['GAP', 'm10501 e:10501']);
  });

  test('is not called any more once the room has closed during the replay', async () => {
    const script = await Script.started(3);
    const events: string[] = [];
    const member = script.room.add((event) => events.push(told(event)), true);
    const replaying = script.room.replay(member, { epoch: 'e', offset: 0 });
    script.room.close();
    await replaying;
    expect(events).toEqual([]);
  });
});

test('whatever is missed, doubled or late: every listener gets each message that is kept once, in order', async () => {
  const step = fc.constantFrom('publish', 'miss', 'double', 'gap', 'join', 'turn');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const script = await Script.started(1);
      const joined: { events: string[]; from: number }[] = [{ events: script.join(), from: 1 }];
      let head = 1;
      for (const what of steps) {
        if (what === 'publish' || what === 'miss') script.publish((head += 1), { missed: what === 'miss' });
        else if (what === 'double') script.live(head);
        else if (what === 'gap') script.room.gap();
        else if (what === 'turn') await settled();
        else {
          const events: string[] = [];
          const member = script.room.add((event) => events.push(told(event)), true);
          joined.push({ events, from: 0 });
          await script.room.replay(member, { epoch: 'e', offset: 0 });
        }
      }
      script.publish((head += 1));
      await settled();
      for (const { events, from } of joined) {
        expect(events).toEqual(Array.from({ length: head - from }, (_, index) => `m${from + index + 1} e:${from + index + 1}`));
      }
      expect(script.stats.gaps).toBe(0);
    }),
  );
});
