import { expect, test } from 'vitest';
import { Losses, type Met } from '../src/driver/losses.ts';
import type { LayerFault } from '../src/faults.ts';

const met = (id?: string, address = 'h:1'): Met => ({ address, id });

function start(): { losses: Losses; told: LayerFault[] } {
  const told: LayerFault[] = [];
  return { losses: new Losses((kind) => told.push(kind)), told };
}

test.each([
  ['the same server', met('a'), met('a'), ['cut_off'], false],
  ['another one at its address', met('a'), met('b'), ['connection_lost'], true],
  ['one at another address', met('a'), met('b', 'h:2'), ['connection_lost', 'moved'], false],
  ['one of which nothing may be known', met(), met(), ['connection_lost'], false],
])('a connection broke, and then there was %s', (_, before, now, kinds, replaced) => {
  const { losses, told } = start();
  losses.found(before);
  losses.lost('closed');
  expect(told).toEqual([]);
  expect([losses.found(now), losses.found(now)]).toEqual([replaced, false]);
  expect(told).toEqual(kinds);
});

test('one of two connections has lived on: so has the server', () => {
  const { losses, told } = start();
  const server = met();
  losses.found(server);
  losses.lost('closed');
  losses.found(server);
  expect(told).toEqual(['cut_off']);
});

test('what is known at once is told at once, after what was not', () => {
  const { losses, told } = start();
  losses.found(met('a'));
  losses.lost('closed');
  losses.lost('ECONNREFUSED', 'unreachable');
  expect(told).toEqual(['connection_lost', 'unreachable']);
  losses.found(met('a'));
  expect(told).toHaveLength(2);
});
