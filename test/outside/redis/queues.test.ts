import { expect, test } from 'vitest';
import { expectAtMostOnce } from '../../../packages/layer-redis/test/at-most-once.ts';

test('100,000 messages, three readers, one killed now and then: at most once, in order', async () => {
  await expect(expectAtMostOnce({ total: 100_000, killEvery: 10_000 })).resolves.toBeUndefined();
});
