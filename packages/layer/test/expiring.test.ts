import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExpiringQueue } from '../src/expiring.ts';
import { IdMemory } from '../src/id-memory.ts';

test('whatever is put in, taken and put back: what has expired is gone wherever it stood, and the rest is in order', () => {
  const step = fc.oneof(
    fc.nat(100).map((lives) => ({ push: lives })),
    fc.nat(3).map((most) => ({ take: most })),
    fc.nat(40).map((ms) => ({ pass: ms })),
    fc.constant('put back'),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new ExpiringQueue<{ n: number; expiresAt: number }>();
      let model: { n: number; expiresAt: number }[] = [];
      let [now, n] = [0, 0];
      for (const what of steps) {
        if (what === 'put back') {
          const item = queue.shift();
          expect(item).toEqual(model[0]);
          if (item !== undefined) queue.unshift(item);
        } else if ('push' in what) {
          const item = { n: (n += 1), expiresAt: now + 1 + what.push };
          queue.push(item);
          model.push(item);
        } else if ('take' in what) expect(queue.take(what.take)).toEqual(model.splice(0, what.take));
        else {
          now += what.pass;
          const left = model.filter(({ expiresAt }) => expiresAt > now);
          expect(queue.dropExpired(now)).toBe(model.length - left.length);
          model = left;
        }
        expect(queue.length).toBe(model.length);
        for (const { expiresAt } of model) expect(queue.soonest).toBeLessThanOrEqual(expiresAt);
      }
      expect(queue.take(100)).toEqual(model);
    }),
  );
});

describe('a memory of ids', () => {
  test('answers what the first was answered, for its time', () => {
    const memory = new IdMemory<number>(1000);
    memory.add('a', 1, 0);
    memory.add('b', 2, 500);
    expect([memory.find('a', 999), memory.find('b', 999), memory.find('c', 999)]).toEqual([1, 2, undefined]);
    expect([memory.find('a', 1000), memory.find('b', 1000)]).toEqual([undefined, 2]);
    memory.clear();
    expect(memory.find('b', 1000)).toBeUndefined();
  });

  test('holds no more than it may: the oldest go before their time', () => {
    const memory = new IdMemory<number>(1000, 2);
    for (const [n, id] of ['a', 'b', 'c'].entries()) memory.add(id, n, 0);
    expect(['a', 'b', 'c'].map((id) => memory.find(id, 0))).toEqual([undefined, 1, 2]);
  });
});
