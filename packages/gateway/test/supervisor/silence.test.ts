import { expect, test } from 'vitest';
import { Silence } from '../../src/supervisor/silence.ts';

/** Somebody who has spoken once. */
function speaker(): Silence {
  const silence = new Silence();
  silence.heard();
  return silence;
}

function looks(silence: Silence, count: number, passedMs: number): boolean[] {
  return Array.from({ length: count }, () => silence.look(passedMs));
}

test('ten looks a second apart without a word are too long, and a word begins anew', () => {
  const silence = speaker();
  expect(looks(silence, 9, 1000)).not.toContain(true);
  silence.heard();
  expect(looks(silence, 9, 1000)).not.toContain(true);
  expect(silence.look(1000)).toBe(true);
});

test('the first word may take a minute', () => {
  const silence = new Silence();
  expect(looks(silence, 59, 1000)).not.toContain(true);
  expect(silence.look(1000)).toBe(true);
});

test('who looks was held up for an hour: of that two seconds count', () => {
  const silence = speaker();
  expect(silence.look(3_600_000)).toBe(false);
  expect(looks(silence, 7, 1000)).not.toContain(true);
  expect(silence.look(1000)).toBe(true);
});

test('looks that come early count for what has passed', () => {
  const silence = speaker();
  expect(looks(silence, 999, 10)).not.toContain(true);
  expect(silence.look(10)).toBe(true);
});
