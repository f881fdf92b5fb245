import { fileURLToPath } from 'node:url';
import { openLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { Collector } from '../../../test/support/events.ts';
import { cli } from './support.ts';

const MEMBER = fileURLToPath(new URL('member.ts', import.meta.url));

describe('groups on a Redis of their own', () => {
  test('a group send is one PUBLISH, whatever the members', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    await using other = await openLayer(redis.url);
    const channels = Array.from({ length: 50 }, () => [layer.newChannel(), other.newChannel()] as const);
    for (const [mine, theirs] of channels) await Promise.all([layer.groupAdd('g', mine), other.groupAdd('g', theirs)]);
    await layer.groupAdd('g', 'jobs');
    const published = new Collector<string>();
    const witness = new Redis(redis.url);
    try {
      witness.on('message', (_channel, payload) => published.push(payload));
      await witness.subscribe('busgate:group:g');
      for (const n of [1, 2]) await layer.groupSend('g', { n });
      for (const n of [1, 2]) {
        for (const [mine, theirs] of channels) expect([await layer.receive(mine), await other.receive(theirs)]).toEqual([{ n }, { n }]);
        expect(await other.receive('jobs')).toEqual({ n });
      }
      expect(await published.take(2)).toEqual(['{"n":1}', '{"n":2}']);
      expect(published.all).toHaveLength(2);
    } finally {
      witness.disconnect();
    }
  });

  test('the members of a process that was killed are gone with its connections, and leave nothing behind', async () => {
    await using redis = await startRedis();
    await using child = new Child(process.execPath, ['--conditions=@busgate/source', MEMBER, redis.url]);
    await child.output.find((line) => line === 'member');
    const members = (): Promise<string> => cli(redis, 'PUBSUB', 'NUMSUB', 'busgate:group:g');
    expect(await members()).toBe('busgate:group:g\n1');
    await child.kill();
    await expect.poll(members, { timeout: 10_000 }).toBe('busgate:group:g\n0');
    expect(await cli(redis, 'DBSIZE')).toBe('0');
  });
});
