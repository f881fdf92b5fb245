import { expect, test } from 'vitest';
import { clockFinding, findingOf } from '../src/driver/findings.ts';

test.each([-1000, 0, 1000])('a clock that is ahead by %i ms is one of those that do', (ahead) => {
  expect(clockFinding('Redis', ahead)).toEqual({ state: 'ok', what: `the clock differs from Redis's by ${Math.abs(ahead)} ms` });
});

test.each([-1001, 3_600_000])('one that is ahead by %i ms is to be set', (ahead) => {
  const what = `the clock differs from NATS's by ${Math.abs(ahead)} ms`;
  expect(clockFinding('NATS', ahead)).toEqual({ state: 'fix', what, advice: 'chronyc makestep, on both machines' });
});

test('what may not be looked at is unknown, and says why', async () => {
  expect(await findingOf('the disk', () => Promise.reject(new Error('NOPERM')))).toEqual({ state: 'unknown', what: 'the disk', advice: 'NOPERM' });
  expect(await findingOf('the disk', async () => ({ state: 'ok', what: 'it has room' }))).toEqual({ state: 'ok', what: 'it has room' });
});
