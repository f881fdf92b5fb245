import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadlines, type Timed } from '../src/session/deadlines.ts';

class Entry implements Timed {
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  readonly fired: number[] = [];
  readonly #wheel: Deadlines;

  constructor(wheel: Deadlines) {
    this.#wheel = wheel;
  }

  onDue(): void {
    this.fired.push(this.#wheel.now);
  }
}

test('milliseconds become whole ticks that cover them', () => {
  const wheel = new Deadlines(1000);
  expect([wheel.ticks(25_000), wheel.ticks(1), wheel.ticks(1001)]).toEqual([25, 1, 2]);
});

test('each falls due at its tick, moved and cancelled ones included, also far beyond one turn of the wheel', () => {
  const op = fc.record({ who: fc.nat(9), at: fc.nat(300), cancel: fc.boolean(), ticks: fc.nat(40) });
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60, size: 'max' }), (ops) => {
      const wheel = new Deadlines(1000);
      const entries = Array.from({ length: 10 }, () => new Entry(wheel));
      const due = new Map<Entry, number>();
      const expected = new Map(entries.map((entry) => [entry, [] as number[]]));
      const tick = (): void => {
        wheel.tick();
        for (const [entry, at] of due) {
          if (at !== wheel.now) continue;
          expected.get(entry)?.push(at);
          due.delete(entry);
        }
      };
      for (const { who, at, cancel, ticks } of ops) {
        const entry = entries[who] as Entry;
        if (cancel) {
          wheel.cancel(entry);
          due.delete(entry);
        } else {
          wheel.set(entry, wheel.now + at);
          due.set(entry, wheel.now + Math.max(1, at));
        }
        for (let count = 0; count < ticks; count += 1) tick();
      }
      for (let count = 0; count < 301; count += 1) tick();
      for (const [entry, fired] of expected) expect(entry.fired).toEqual(fired);
    }),
    { numRuns: 200 },
  );
});

test('one that is cancelled or moved by another of the same tick does not fall due', () => {
  const wheel = new Deadlines(1000);
  const later = new Entry(wheel);
  const moved = new Entry(wheel);
  const first = new Entry(wheel);
  first.onDue = () => {
    wheel.cancel(later);
    wheel.set(moved, wheel.now + 5);
  };
  for (const entry of [later, moved, first]) wheel.set(entry, 3);
  for (let count = 0; count < 10; count += 1) wheel.tick();
  expect([later.fired, moved.fired]).toEqual([[], [8]]);
});
