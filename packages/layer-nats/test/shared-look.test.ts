import { expect, test } from 'vitest';
import { SharedLook } from '../src/shared-look.ts';

test('who asks while a look is under way is not told what that one sees, and shares the next with all who did', async () => {
  const looks: PromiseWithResolvers<string>[] = [];
  const shared = new SharedLook(() => {
    const look = Promise.withResolvers<string>();
    looks.push(look);
    return look.promise;
  });
  const first = shared.ask();
  const others = [shared.ask(), shared.ask()];
  await first.begun;
  expect(looks).toHaveLength(1);
  looks[0]?.resolve('first');
  expect(await first.seen).toBe('first');
  await Promise.all(others.map(({ begun }) => begun));
  expect(looks).toHaveLength(2);
  const later = shared.ask();
  looks[1]?.resolve('second');
  expect(await Promise.all(others.map(({ seen }) => seen))).toEqual(['second', 'second']);
  await later.begun;
  expect(looks).toHaveLength(3);
});

test('a look that fails is told to those who shared it, and the next one is made', async () => {
  let looks = 0;
  const shared = new SharedLook(async () => {
    looks += 1;
    if (looks === 1) throw new Error('away');
    return looks;
  });
  const asked = [shared.ask(), shared.ask(), shared.ask()];
  const seen = await Promise.allSettled(asked.map((look) => look.seen));
  expect(seen.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  expect(await shared.ask().seen).toBe(3);
});
