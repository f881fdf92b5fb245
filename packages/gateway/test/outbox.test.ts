import { closeOf } from '../src/errors.ts';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Counters, createCounters } from '../src/counters.ts';
import { Outbox, Outboxes } from '../src/session/outbox.ts';
import { RunningClock } from '../src/session/running-clock.ts';
import { FakeLink } from './support/fake-link.ts';

const LIMIT = 1000;
const TOTAL = 2500;

class Reader {
  readonly link = new FakeLink();
  readonly outbox: Outbox;
  endedFor: string | undefined;

  constructor(all: Outboxes) {
    this.outbox = new Outbox(all, this.link, {
      tooSlow: (reason) => {
        this.endedFor ??= reason;
        this.outbox.shut(reason);
        this.link.end(closeOf('slow'));
      },
    });
  }
}

let counters: Counters;
let now: number;
let all: Outboxes;

beforeEach(() => {
  counters = createCounters();
  now = 0;
  all = new Outboxes(counters, LIMIT, TOTAL, () => now);
});

const bytes = (length: number): Buffer => Buffer.alloc(length);

test('what the kernel takes at once is sent, and nothing is kept', () => {
  const { outbox } = new Reader(all);
  outbox.write(bytes(5000), 3);
  outbox.writeAll([bytes(10), bytes(20)], 2);
  expect([counters.due, counters.sent, all.queued, all.bytes, counters.sentBytes]).toEqual([5, 5, 0, 0, 5030]);
});

test('a write is sent when the kernel has all of it, to the byte', () => {
  const { outbox, link } = new Reader(all);
  link.room = 0;
  outbox.write(bytes(100), 2);
  outbox.write(bytes(50), 1);
  expect([counters.sent, all.queued, all.bytes]).toEqual([0, 3, 150]);
  link.take(99);
  all.settle();
  expect([counters.sent, all.queued, all.bytes]).toEqual([0, 3, 51]);
  link.take(1);
  all.settle();
  expect([counters.sent, all.queued, all.bytes]).toEqual([2, 1, 50]);
  link.take(50);
  all.settle();
  expect([counters.sent, all.queued, all.bytes]).toEqual([3, 0, 0]);
});

test('the bound is on what waited before: one write may pass it, the next one ends the session', () => {
  const { outbox, link } = new Reader(all);
  link.room = 0;
  outbox.write(bytes(LIMIT), 1);
  outbox.write(bytes(1), 1);
  expect(link.closedWith).toBeUndefined();
  outbox.write(bytes(1), 1);
  expect(link.closedWith).toBe(1013);
  expect(counters.dropped).toMatchObject({ slow: 1, closed: 0 });
  outbox.write(bytes(1), 4);
  expect(counters.dropped.slow).toBe(5);
  expect(link.written.length).toBe(2);
  link.take(LIMIT);
  outbox.gone();
  expect(counters.dropped.slow).toBe(6);
  expect([counters.due, counters.sent, all.queued, all.bytes]).toEqual([7, 1, 0, 0]);
});

test('bytes that have waited for more than 10 s end the session, without another write', () => {
  const { outbox, link } = new Reader(all);
  link.room = 0;
  outbox.write(bytes(10), 1);
  now = 10_000;
  all.sweep();
  expect(link.closedWith).toBeUndefined();
  now = 10_001;
  all.sweep();
  expect(link.closedWith).toBe(1013);
  now = 20_002;
  all.sweep();
  expect(link.isDestroyed).toBe(true);
});

test('past the bound of all together the one for which the most waits is ended, and no more than need be', () => {
  const readers = Array.from({ length: 4 }, () => new Reader(all));
  for (const { link } of readers) link.room = 0;
  for (const [index, { outbox }] of readers.entries()) outbox.write(bytes(600 + index), 1);
  expect(readers.map(({ endedFor }) => endedFor)).toEqual([undefined, undefined, undefined, undefined]);
  readers[0]?.outbox.write(bytes(100), 1);
  expect(readers.map(({ endedFor }) => endedFor)).toEqual(['total', undefined, undefined, undefined]);
  readers[1]?.outbox.write(bytes(1), 1);
  expect(readers.map(({ endedFor }) => endedFor)).toEqual(['total', undefined, undefined, undefined]);
});

test('bytes that many wait for count once towards that bound, and each outbox still has its own', () => {
  const shared = bytes(900);
  const readers = Array.from({ length: 50 }, () => new Reader(all));
  for (const { link } of readers) link.room = 0;
  for (const { outbox } of readers) outbox.write(shared, 1);
  for (const { outbox } of readers) outbox.write(shared.subarray(100), 1);
  expect(readers.every(({ endedFor }) => endedFor === undefined)).toBe(true);
  expect(all.bytes).toBe(50 * 1700);
  const own = Array.from({ length: 3 }, () => new Reader(all));
  for (const { link } of own) link.room = 0;
  for (const { outbox } of own) outbox.write(bytes(800), 1);
  expect([...readers, ...own].filter(({ endedFor }) => endedFor === 'total').length).toBeGreaterThan(0);
});

test('what all hold together is let go of with them, whichever way each ends', () => {
  const total = new Outboxes(counters, LIMIT, 1, () => now);
  const ended = [0, 1, 2, 3].map(() => new Reader(total));
  const [taken, shut, gone, relinked] = ended;
  for (const { link } of ended) link.room = 0;
  for (const { outbox } of ended) outbox.write(bytes(1), 1);
  taken?.link.take(1);
  shut?.outbox.shut('closed');
  gone?.outbox.gone();
  relinked?.outbox.relink(undefined);
  total.settle();
  const next = new Reader(total);
  next.link.room = 0;
  next.outbox.write(bytes(1), 1);
  expect(next.endedFor).toBeUndefined();
  next.outbox.write(bytes(1), 1);
  expect(next.endedFor).toBe('total');
});

test('time in which the process stood still counts as little', () => {
  const clock = new RunningClock(() => now, 2000);
  for (now = 0; now < 5000; now += 1000) clock.tick();
  expect(clock.now()).toBe(5000);
  now = 3_600_000;
  expect(clock.now()).toBe(6000);
  clock.tick();
  now += 500;
  expect(clock.now()).toBe(6500);
});

test('what is left when the link is gone is dropped for the reason that ended it', () => {
  const { outbox, link } = new Reader(all);
  link.room = 15;
  outbox.write(bytes(10), 1);
  outbox.write(bytes(10), 2);
  outbox.shut('closed');
  outbox.passed(4);
  link.queued += 4;
  link.isDestroyed = true;
  outbox.gone();
  expect([counters.due, counters.sent, counters.dropped.closed, all.queued]).toEqual([3, 1, 2, 0]);
});

describe('whatever is written and taken', () => {
  test('due = sent + dropped + queued at every moment, and what is sent is what the kernel has', () => {
    const step = fc.oneof(
      fc.record({ write: fc.integer({ min: 1, max: 400 }), messages: fc.nat(5) }),
      fc.record({ take: fc.integer({ min: 0, max: 500 }) }),
      fc.constant({ look: true }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const books = createCounters();
        const boxes = new Outboxes(books, LIMIT, TOTAL, () => 0);
        const { outbox, link } = new Reader(boxes);
        link.room = 0;
        const writes: { end: number; messages: number }[] = [];
        for (const one of steps) {
          if ('write' in one) {
            const before = link.written.length;
            outbox.write(bytes(one.write), one.messages);
            if (link.written.length > before) writes.push({ end: (writes.at(-1)?.end ?? 0) + one.write, messages: one.messages });
          } else if ('take' in one) link.take(one.take);
          else boxes.settle();
          expect(books.due).toBe(books.sent + books.dropped.slow + boxes.queued);
        }
        boxes.settle();
        const taken = (writes.at(-1)?.end ?? 0) - link.queued;
        const handed = writes.filter(({ end }) => end <= taken).reduce((sum, { messages }) => sum + messages, 0);
        expect(books.sent).toBe(handed);
      }),
      { numRuns: 300 },
    );
  });
});
