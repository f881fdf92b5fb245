import { LayerError, type LayerFault } from '@busgate/layer/driver';
import { expect, test } from 'vitest';
import { Losses, type Met } from '../src/losses.ts';

const broken = new LayerError('LAYER_AWAY', 'Redis closed the connection');
const met = (id?: string, port = 1): Met => ({ node: { host: 'h', port }, id });

function start(): { losses: Losses; told: LayerFault[] } {
  const told: LayerFault[] = [];
  return { losses: new Losses((kind) => told.push(kind)), told };
}

test.each([
  ['the same run_id', met('a'), met('a'), ['cut_off']],
  ['another run_id', met('a'), met('b'), ['connection_lost', 'data_lost']],
  ['another address', met('a'), met('b', 2), ['connection_lost', 'moved']],
  ['a server of which nothing may be known', met(), met(), ['connection_lost']],
])('a connection broke, and then there was %s', (_, before, now, kinds) => {
  const { losses, told } = start();
  losses.found(before);
  losses.lost(broken);
  expect(told).toEqual([]);
  losses.found(now);
  losses.found(now);
  expect(told).toEqual(kinds);
});

test('one of the two connections has lived on: so has the server', () => {
  const { losses, told } = start();
  const server = met();
  losses.found(server);
  losses.lost(broken);
  losses.found(server);
  expect(told).toEqual(['cut_off']);
});

test('what is known at once is told at once, after what was not', () => {
  const { losses, told } = start();
  losses.found(met('a'));
  losses.lost(broken);
  losses.lost(new LayerError('LAYER_AWAY', 'ECONNREFUSED', { fault: 'unreachable' }));
  expect(told).toEqual(['connection_lost', 'unreachable']);
  losses.found(met('a'));
  expect(told).toHaveLength(2);
});
