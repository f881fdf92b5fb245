import { expect, test } from 'vitest';
import { nearest } from '../src/config/nearest.ts';

const KNOWN = ['port', 'ops.port', 'limits.message', 'drain.notice', 'heartbeat.timeout'];

test.each([
  ['prot', 'port'],
  ['limits.mesage', 'limits.message'],
  ['limits-message', 'limits.message'],
  ['DRAIN_NOTICE', 'drain.notice'],
  ['heartbeat.timout', 'heartbeat.timeout'],
  ['zzzzzzzzzzzzz', undefined],
])('the nearest to %s is %s', (name, expected) => {
  expect(nearest(name, KNOWN)).toBe(expected);
});

test('a name that is no name costs nothing', () => {
  expect(nearest('x'.repeat(100_000), KNOWN)).toBeUndefined();
});
