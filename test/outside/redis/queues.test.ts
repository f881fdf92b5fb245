import process from 'node:process';
import { setTimeout } from 'node:timers/promises';
import { openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { expectAtMostOnce, READER } from '../../../packages/layer-redis/test/at-most-once.ts';
import { cli } from '../../../packages/layer-redis/test/support.ts';
import { startRedis } from '../../support/brokers.ts';
import { Child } from '../../support/child.ts';

/** Longer than a reader waits for an answer before it takes its connection for dead. */
const PAUSE_MS = 18_000;

test('100,000 messages, three readers, one killed now and then: at most once, in order', async () => {
  await expect(expectAtMostOnce({ total: 100_000, killEvery: 10_000 })).resolves.toBeUndefined();
});

test('a reader that stood still for long has what it was given meanwhile', async () => {
  await using redis = await startRedis();
  await using layer = await openLayer(redis.url);
  await using reader = new Child(process.execPath, ['--conditions=@busgate/source', READER, redis.url]);
  await expect.poll(() => cli(redis, 'CLIENT', 'LIST')).toContain('cmd=blpop');
  reader.signal('SIGSTOP');
  reader.awaitStop();
  await layer.send('jobs', { n: 1 });
  expect(await cli(redis, 'LLEN', 'busgate:queue:jobs')).toBe('0');
  await setTimeout(PAUSE_MS);
  reader.signal('SIGCONT');
  await layer.send('jobs', { n: -1 });
  expect(await reader.exited).toEqual({ code: 0, signal: null });
  expect(reader.output.all).toEqual(['reading', '1']);
});
