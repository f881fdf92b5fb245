import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomEvent, Subscription } from '../src/contract.ts';
import type { HistoryPage, TopicSink } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { resolveHistoryOptions, resolveOptions } from '../src/options.ts';
import type { Position } from '../src/position.ts';
import { Rooms } from '../src/rooms.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { scripted, settled } from './support/driver.ts';

const RULE = { rooms: 'r', size: 20_000, ageMs: 60_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const told = (event: RoomEvent): string => (event.gap === true ? 'GAP' : `${Buffer.from(event.payload).toString()} ${event.position}`);
const named = (from: number, to: number, epoch = 'e'): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `m${from + index} ${epoch}:${from + index}`);

/** Rooms on a history that the test writes, and that answers when the test lets it. */
class Script {
  epoch = 'e';
  readonly kept = new Map<number, string>();
  head = 0;
  reads: (Position | undefined)[] = [];
  gate: Promise<void> | undefined;
  /** What happens as soon as so much was read. */
  afterwards: (() => void) | undefined;
  /** An answer comes in a later turn of the event loop. */
  isFar = false;
  fault: LayerError | undefined;
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly rooms: Rooms;
  #sink: TopicSink | undefined;

  constructor(head = 0) {
    const driver = scripted({
      subscribe: async (_topic, sink) => {
        this.#sink = sink;
      },
      unsubscribe: async () => undefined,
      read: async (_room, _rule, after) => this.#read(after),
    });
    this.rooms = new Rooms(driver, resolveOptions({ history: [RULE] }), this.stats, this.clock);
    for (let offset = 1; offset <= head; offset += 1) this.keep(offset);
  }

  keep(offset: number): void {
    this.kept.set(offset, `m${offset}`);
    this.head = Math.max(this.head, offset);
  }

  publish(offset: number, { missed = false } = {}): void {
    this.keep(offset);
    if (!missed) this.live(offset);
  }

  live(offset: number): void {
    this.#sink?.message(bytes(`m${offset}`), { epoch: this.epoch, offset, previous: offset - 1 });
  }

  gap(): void {
    this.#sink?.gap();
  }

  /** The broker lost what it had. */
  lose(epoch: string): void {
    this.epoch = epoch;
    this.kept.clear();
    this.head = 0;
  }

  async join(since?: string): Promise<{ events: string[]; subscription: Subscription }> {
    const events: string[] = [];
    return { events, subscription: await this.rooms.subscribe('r', (event) => events.push(told(event)), since) };
  }

  async #read(after: Position | undefined): Promise<HistoryPage> {
    const page = await this.#readNow(after);
    const { afterwards } = this;
    this.afterwards = undefined;
    afterwards?.();
    return page;
  }

  async #readNow(after: Position | undefined): Promise<HistoryPage> {
    this.reads.push(after);
    await this.gate;
    if (this.isFar) await settled();
    if (this.fault !== undefined) throw this.fault;
    const { epoch, head } = this;
    if (after === undefined || after.epoch !== epoch || after.offset > head) return { epoch, head, complete: false, messages: [] };
    const messages = [...this.kept].filter(([offset]) => offset > after.offset).map(([offset, text]) => ({ offset, payload: bytes(text) }));
    return { epoch, head, complete: messages.length === head - after.offset, messages };
  }
}

describe('a listener with since', () => {
  test('gets what followed, then goes live, with neither gap nor duplicate where they overlap', async () => {
    const script = new Script(3);
    await script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const joining = script.join('e:1');
    await settled();
    script.publish(4);
    script.publish(5, { missed: true });
    gate.resolve();
    const { events, subscription } = await joining;
    expect(events).toEqual(named(2, 5));
    expect(subscription).toMatchObject({ position: 'e:5', recovered: true });
    script.live(5);
    script.publish(6);
    expect(events).toEqual(named(2, 6));
  });

  test.each([
    ['of another epoch', 'x:1'],
    ['beyond the newest', 'e:9'],
    ['that is no position', 'none'],
    ['that is too old', 'e:0'],
  ])('one %s gets a gap, then what comes', async (_, since) => {
    const script = new Script(3);
    script.kept.delete(1);
    const { events, subscription } = await script.join(since);
    script.publish(4);
    expect(events).toEqual(['GAP', ...named(4, 4)]);
    expect(subscription.recovered).toBe(false);
  });

  test('what comes while the history is read is given from what the room keeps, and read again where that was more', async () => {
    const script = new Script(1);
    await script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const joining = script.join('e:0');
    await settled();
    const stale = [...script.kept];
    for (let offset = 2; offset <= 10_500; offset += 1) script.publish(offset);
    script.kept.clear();
    for (const [offset, text] of stale) script.kept.set(offset, text);
    script.head = 1;
    gate.resolve();
    await Promise.resolve();
    await Promise.resolve();
    script.gate = undefined;
    for (let offset = 2; offset <= 10_500; offset += 1) script.keep(offset);
    const { events, subscription } = await joining;
    expect(subscription.recovered).toBe(true);
    expect(events).toEqual(named(1, 10_500));
  });

  test('the broker lost its data meanwhile: a gap, and what the new epoch has goes on', async () => {
    const script = new Script(3);
    await script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const joining = script.join('e:1');
    await settled();
    script.lose('f');
    script.publish(1);
    gate.resolve();
    const { events, subscription } = await joining;
    script.publish(2);
    expect([events, subscription.recovered]).toEqual([['GAP', 'm2 f:2'], false]);
  });

  test('whoever comes with a position of another epoch before the others know of it has what followed, and the others are told a gap', async () => {
    const script = new Script(3);
    const { events: others } = await script.join();
    script.lose('f');
    script.publish(1, { missed: true });
    const { events, subscription } = await script.join('f:0');
    script.publish(2);
    expect([events, subscription.recovered]).toEqual([named(1, 2, 'f'), true]);
    expect(others).toEqual(['GAP', 'm2 f:2']);
  });

  test('is not called any more once the rooms have closed during the replay', async () => {
    const script = new Script(3);
    await script.join();
    const gate = Promise.withResolvers<void>();
    script.gate = gate.promise;
    const events: string[] = [];
    const joining = script.rooms.subscribe('r', (event) => events.push(told(event)), 'e:0');
    const ended = expect(joining).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    await settled();
    script.rooms.close(new LayerError('LAYER_CLOSED', 'closed'));
    gate.resolve();
    await ended;
    expect(events).toEqual([]);
  });

  test('one whose history cannot be read fails alone', async () => {
    const script = new Script(3);
    const { events } = await script.join();
    script.fault = new LayerError('OUTCOME_UNKNOWN', 'lost');
    await expect(script.join('e:1')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    script.publish(4);
    expect(events).toEqual(named(4, 4));
  });
});

describe('many who come back at once', () => {
  test('10,000 with positions of their own ask the broker once, after the one who holds the room', async () => {
    const script = new Script(100);
    const joined = await Promise.all(Array.from({ length: 10_000 }, (_, index) => script.join(`e:${index % 100}`)));
    expect(script.reads).toEqual([undefined, { epoch: 'e', offset: 0 }]);
    for (const [index, { events, subscription }] of joined.entries()) {
      expect(events.length).toBe(100 - (index % 100));
      expect(subscription.recovered).toBe(true);
    }
    script.publish(101);
    for (const { events } of joined) expect(events.at(-1)).toBe('m101 e:101');
  });

  test('one after the other: each that goes further back than those before asks, and nobody else', async () => {
    const script = new Script(100);
    await script.join();
    for (const since of [90, 95, 50, 60, 99, 50, 10, 20]) {
      const { events } = await script.join(`e:${since}`);
      expect(events).toEqual(named(since + 1, 100));
    }
    expect(script.reads.slice(1).map((after) => after?.offset)).toEqual([90, 50, 10]);
  });

  test('what came live is kept by who holds the room, and asked of nobody', async () => {
    const script = new Script();
    await script.join();
    for (let offset = 1; offset <= 50; offset += 1) script.publish(offset);
    const { events } = await script.join('e:20');
    await expect(script.rooms.history('r', RULE, 'e:10', resolveHistoryOptions({ limit: 5 }))).resolves.toMatchObject({ position: 'e:15', more: true });
    expect(events).toEqual(named(21, 50));
    expect(script.reads).toHaveLength(1);
  });

  test('too old, of other epochs or beyond the newest: a few readings for all', async () => {
    const script = new Script(1000);
    for (let offset = 1; offset <= 500; offset += 1) script.kept.delete(offset);
    script.isFar = true;
    const sinces = Array.from({ length: 2000 }, (_, index) => (index % 3 === 0 ? `x${index}:1` : `e:${index}`));
    const joined = await Promise.all(sinces.map((since) => script.join(since)));
    expect(joined.map(({ subscription }) => subscription.recovered)).toEqual(
      sinces.map((since) => since.startsWith('e:') && Number(since.slice(2)) >= 500 && Number(since.slice(2)) <= 1000),
    );
    expect(script.reads.length).toBeLessThan(20);
  });

  test('what was read for others is kept for a short while, and what came live as long as the history keeps it', async () => {
    const script = new Script(10);
    await script.join();
    await script.join('e:5');
    script.clock.advance(11_000);
    await script.join('e:5');
    expect(script.reads).toHaveLength(3);
    script.publish(11);
    script.clock.advance(RULE.ageMs);
    script.kept.clear();
    const { subscription } = await script.join('e:10');
    expect(subscription.recovered).toBe(false);
  });
});

describe('a history that is lost between two readings of it', () => {
  test.each([
    ['what followed a position of an older epoch', 'e:1', {}],
    ['the newest', undefined, { last: 5 }],
  ] as const)('%s: what is kept in the epoch that it has then', async (_, since, options) => {
    const script = new Script(3);
    script.lose('f');
    script.keep(1);
    script.afterwards = () => {
      script.lose('g');
      script.keep(1);
      script.keep(2);
    };
    const { messages, position } = await script.rooms.history('r', RULE, since, resolveHistoryOptions(options));
    expect([messages.map((message) => told(message)), position]).toEqual([named(1, 2, 'g'), 'g:2']);
  });

  test('readers of two epochs: none is told that it has all of the one that is no more', async () => {
    const script = new Script(3);
    script.lose('f');
    for (let offset = 1; offset <= 9; offset += 1) script.keep(offset);
    script.afterwards = () => {
      script.lose('g');
      script.keep(1);
    };
    const ask = (since: string): ReturnType<Rooms['history']> => script.rooms.history('r', RULE, since, resolveHistoryOptions({}));
    const answers = await Promise.all([ask('e:1'), ask('f:5')]);
    expect(answers.map(({ recovered, position, messages }) => [recovered, position, messages.length])).toEqual([
      [false, 'g:1', 1],
      [false, 'g:1', 1],
    ]);
  });
});

test('whatever is missed, doubled or late: every listener gets each message that is kept once, in order', async () => {
  const step = fc.constantFrom('publish', 'miss', 'double', 'gap', 'join', 'turn');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, waits) => {
      const script = new Script(1);
      const joined = [{ joining: script.join(), from: 1 }];
      await settled();
      let head = 1;
      for (const what of steps) {
        if (what === 'publish' || what === 'miss') script.publish((head += 1), { missed: what === 'miss' });
        else if (what === 'double') script.live(head);
        else if (what === 'gap') script.gap();
        else if (what === 'turn') await settled();
        else {
          const joining = script.join('e:0');
          joined.push({ joining, from: 0 });
          if (waits) await joining;
        }
      }
      await Promise.all(joined.map(({ joining }) => joining));
      script.publish((head += 1));
      await settled();
      for (const { joining, from } of joined) expect((await joining).events).toEqual(named(from + 1, head));
      expect(script.stats.gaps).toBe(0);
    }),
  );
});
