import { openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { allow, cli } from './support.ts';

const HISTORY = { history: [{ rooms: '>', size: 10, ageMs: 60_000 }] };

/** What was looked at, by its beginning, and what was found. */
async function found(url: string, options: object = {}): Promise<Record<string, string>> {
  await using layer = await openLayer(url, options);
  return Object.fromEntries((await layer.examine()).map(({ state, what }) => [what.split(/[ :]/, 2).join(' '), state]));
}

test('settings of Redis that lose messages are to be changed, as the advice says; then all is well', async () => {
  await using redis = await startRedis();
  await cli(redis, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  await cli(redis, 'CONFIG', 'SET', 'appendonly', 'no');
  await using layer = await openLayer(redis.url, HISTORY);
  const findings = await layer.examine();
  expect(findings.map(({ state }) => state)).toEqual(['fix', 'fix', 'fix', 'ok']);
  for (const { advice = '' } of findings.slice(0, 3)) {
    const [, setting = '', value = ''] = /CONFIG SET (\S+) '?([^',]+)'?/.exec(advice) ?? [];
    await cli(redis, 'CONFIG', 'SET', setting, value);
  }
  expect((await layer.examine()).map(({ state }) => state)).toEqual(['ok', 'ok', 'ok', 'ok']);
});

test('without a history nobody needs persistence; a limit of 0 is none', async () => {
  await using redis = await startRedis();
  await cli(redis, 'CONFIG', 'SET', 'appendonly', 'no');
  await cli(redis, 'CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 0 0 0');
  expect(await found(redis.url)).toEqual({ 'client-output-buffer-limit pubsub': 'ok', 'maxmemory-policy is': 'ok', 'persistence ': 'ok', 'the clock': 'ok' });
});

test('what a user may not look at is unknown, with the broker’s reason', async () => {
  await using redis = await startRedis();
  await allow(redis, '-config');
  await using layer = await openLayer(redis.url.replace('//', '//gateway:s%25cret@'), HISTORY);
  const findings = await layer.examine();
  expect(findings.slice(0, 3).map(({ state, advice }) => [state, advice?.slice(0, 21)])).toEqual(
    Array.from({ length: 3 }, () => ['unknown', 'Redis refused: NOPERM']),
  );
});
