import { expect, test } from 'vitest';
import { Flush, type Flushed, type FlushTurn } from '../src/hub/flush.ts';

/** Visits so many lanes in one turn of the loop; each asks, `asks` times, what else a session of a thousand rooms is due, which saves so many writes each time. Counts the lookings. */
function gatherings(lanes: number, asks: number, saves: number): number {
  const steps: (() => void)[] = [];
  const flush = new Flush({ now: () => 0, defer: (step) => void steps.push(step) });
  let gathered = 0;
  const visit = (turn: FlushTurn): boolean => {
    for (let ask = 0; ask < asks; ask += 1) {
      if (turn.gathers(1000) === undefined) continue;
      gathered += 1;
      turn.saved(saves);
    }
    return true;
  };
  for (let lane = 0; lane < lanes; lane += 1) flush.mark({ room: `${lane}`, isDue: false, hasUnsent: false, visit } satisfies Flushed);
  for (const step of steps.splice(0)) step();
  return gathered;
}

test('what else a session is due is looked for where that saves writes, and only a little where it does not', () => {
  // A look at each of 100 lanes, and 800 looks in all.
  expect(gatherings(100, 1, 0)).toBe(8);
  expect(gatherings(100, 1, 1)).toBe(100);
  // No more than the session has rooms.
  expect(gatherings(4000, 1, 0)).toBe(32);
  expect(gatherings(2, 100, 0)).toBe(8);
});

test('where one lane alone has something, nothing is looked for', () => {
  expect(gatherings(1, 10, 1)).toBe(0);
});
