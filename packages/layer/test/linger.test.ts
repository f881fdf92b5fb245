import { describe, expect, test } from 'vitest';
import { Linger } from '../src/linger.ts';
import { TestClock } from './support/clock.ts';

function start(): { linger: Linger; clock: TestClock; released: string[] } {
  const clock = new TestClock();
  const released: string[] = [];
  return { linger: new Linger(1000, (key) => released.push(key), clock), clock, released };
}

describe('letting go late', () => {
  test('releases each key once, not before the delay', () => {
    const { linger, clock, released } = start();
    linger.start('a');
    clock.advance(999);
    expect(released).toEqual([]);
    clock.advance(1);
    expect(released).toEqual(['a']);
    clock.advance(10_000);
    expect(released).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  test('who comes back is not released, who leaves again waits anew', () => {
    const { linger, clock, released } = start();
    linger.start('back');
    linger.start('again');
    clock.advance(600);
    linger.cancel('back');
    linger.start('again');
    clock.advance(500);
    expect(released).toEqual([]);
    clock.advance(1500);
    expect(released).toEqual(['again']);
  });

  test('one timer serves all keys, and each goes within two delays', () => {
    const { linger, clock, released } = start();
    for (let index = 0; index < 100; index += 1) {
      linger.start(`${index}`);
      clock.advance(10);
      expect(clock.pending).toBe(1);
    }
    clock.advance(2000);
    expect(released).toHaveLength(100);
  });

  test('after close nothing is released and nothing begins', () => {
    const { linger, clock, released } = start();
    linger.start('a');
    linger.close();
    linger.start('b');
    clock.advance(5000);
    expect([released, clock.pending]).toEqual([[], 0]);
  });
});
