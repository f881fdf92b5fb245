import { describe, expect, test } from 'vitest';
import { KeyedLock } from '../src/lock.ts';
import { settled } from './support/driver.ts';

describe('a lock for each key', () => {
  test('steps of one key run one after the other, those of another key beside them', async () => {
    const lock = new KeyedLock();
    const events: string[] = [];
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const step = (name: string, gate?: Promise<void>) => async (): Promise<string> => {
      events.push(`${name} begins`);
      await gate;
      events.push(`${name} ends`);
      return name;
    };
    const running = [lock.run('a', step('a1', gates[0]?.promise)), lock.run('a', step('a2', gates[1]?.promise)), lock.run('b', step('b1'))];
    await settled();
    expect(events).toEqual(['a1 begins', 'b1 begins', 'b1 ends']);
    gates[1]?.resolve();
    gates[0]?.resolve();
    await expect(Promise.all(running)).resolves.toEqual(['a1', 'a2', 'b1']);
    expect(events.slice(3)).toEqual(['a1 ends', 'a2 begins', 'a2 ends']);
  });

  test('a step that fails rejects its own caller, and the next one runs', async () => {
    const lock = new KeyedLock();
    const failing = lock.run('a', async () => {
      throw new Error('first');
    });
    const next = lock.run('a', async () => 'second');
    await expect(failing).rejects.toThrow('first');
    await expect(next).resolves.toBe('second');
  });

  test('a step never begins before its caller has returned, also where nobody is before it', async () => {
    const lock = new KeyedLock();
    let returned = false;
    const seen = lock.run('a', async () => returned);
    returned = true;
    await expect(seen).resolves.toBe(true);
  });
});
