import { expect, test } from 'vitest';
import { FaultLog } from '../src/fault-log.ts';
import { LAYER_FAULTS } from '../src/faults.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';

class Script {
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly lines: unknown[] = [];
  readonly faults: FaultLog;

  constructor() {
    const unexpected = (): never => expect.unreachable('faults are errors');
    const error = (message: string, fields?: Record<string, unknown>): void => void this.lines.push({ message, ...fields });
    this.faults = new FaultLog(this.stats, { info: unexpected, warn: unexpected, error }, this.clock);
  }
}

test('every kind is there from the start', () => {
  expect(newStats().faults).toEqual(Object.fromEntries(LAYER_FAULTS.map((kind) => [kind, 0])));
});

test('while the broker is away each kind counts once, however often it is told; while it lives each time', () => {
  const { faults, stats } = new Script();
  faults.tell('unreachable', 'ECONNREFUSED');
  faults.tell('unreachable', 'ECONNREFUSED');
  faults.tell('refused', 'WRONGPASS');
  expect(stats.faults).toMatchObject({ unreachable: 1, refused: 1 });
  faults.connected();
  faults.tell('refused', 'NOPERM');
  faults.tell('refused', 'NOPERM');
  expect(stats.faults.refused).toBe(3);
  faults.away('reset');
  for (const reason of ['reset', 'again']) faults.tell('connection_lost', reason);
  faults.away('reset');
  faults.tell('connection_lost', 'and again');
  expect(stats.faults.connection_lost).toBe(1);
});

test('of each kind one line in 10 s; the next one says how many more there were', () => {
  const { clock, faults, lines } = new Script();
  faults.connected();
  for (const reason of ['a', 'b', 'c']) faults.tell('out_of_space', reason);
  faults.tell('refused', 'd');
  clock.advance(10_000);
  faults.tell('out_of_space', 'e');
  clock.advance(10_000);
  faults.tell('out_of_space', 'f');
  const message = 'a fault of the broker';
  expect(lines).toEqual([
    { message, kind: 'out_of_space', reason: 'a' },
    { message, kind: 'refused', reason: 'd' },
    { message, kind: 'out_of_space', reason: 'e', more: 2 },
    { message, kind: 'out_of_space', reason: 'f' },
  ]);
});

test('the reason: what it is away for; what it lived through, for 30 s', () => {
  const { clock, faults } = new Script();
  expect(faults.reason).toBeUndefined();
  faults.connected();
  faults.tell('out_of_space', 'OOM');
  clock.advance(29_999);
  expect(faults.reason).toBe('out_of_space: OOM');
  clock.advance(1);
  expect(faults.reason).toBeUndefined();
  faults.away('reset');
  expect(faults.reason).toBe('reset');
  faults.tell('unreachable', 'ECONNREFUSED');
  clock.advance(60_000);
  expect(faults.reason).toBe('unreachable: ECONNREFUSED');
  faults.connected();
  expect(faults.reason).toBeUndefined();
});
