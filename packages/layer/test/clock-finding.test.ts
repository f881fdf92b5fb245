import { expect, test } from 'vitest';
import { clockFinding } from '../src/driver/clock-finding.ts';

test.each([-1000, 0, 1000])('a clock that is ahead by %i ms is one of those that do', (ahead) => {
  expect(clockFinding('Redis', ahead)).toEqual({ state: 'ok', what: `the clock differs from Redis's by ${Math.abs(ahead)} ms` });
});

test.each([-1001, 3_600_000])('one that is ahead by %i ms is to be set', (ahead) => {
  const what = `the clock differs from NATS's by ${Math.abs(ahead)} ms`;
  expect(clockFinding('NATS', ahead)).toEqual({ state: 'fix', what, advice: 'chronyc makestep, on both machines' });
});
