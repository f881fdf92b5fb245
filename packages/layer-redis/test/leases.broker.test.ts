import { Buffer } from 'node:buffer';
import type { Driver, LeaseRecord, LeaseStore } from '@busgate/layer/driver';
import { describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { openDriver } from './drivers.ts';
import { cli } from './support.ts';

function recordOf(n: number, queue = 'jobs'): LeaseRecord {
  return { key: `k${n}`, id: `${queue} id${n}`, queue, payload: Buffer.from(`{"n":${n},"text":"ü\\n"}`), expiryMs: 3_600_000 };
}

async function waiting(driver: Driver, queue: string, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push(...(await driver.pop(queue, count, new AbortController().signal)).map(({ payload }) => String(payload)));
  return found;
}

const leasesOf = (driver: Driver): LeaseStore => driver.leases as LeaseStore;

async function startClusterOfOne(): Promise<Broker> {
  const redis = await startRedis({ config: ['cluster-enabled yes'] });
  await cli(redis, 'CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => `${slot}`));
  await expect.poll(() => cli(redis, 'CLUSTER', 'INFO')).toContain('cluster_state:ok');
  return redis;
}

const clusterUrl = ({ url }: Broker): string => url.replace('redis:', 'redis-cluster:');

describe('leases on a Redis of their own', () => {
  test('several who settle the same lease at once queue each record once, and its own process is told that it ended', async () => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    await using one = await openDriver(redis.url, 'one');
    await using other = await openDriver(redis.url, 'other');
    const records = Array.from({ length: 100 }, (_, n) => recordOf(n));
    await leasesOf(own).grant('l', 100);
    expect(await leasesOf(own).hold('l', records)).toBe('done');
    expect(await leasesOf(one).overdue()).toEqual([]);
    expect(await leasesOf(one).settleEnded('l', 10)).toBe(0);
    await expect.poll(() => leasesOf(one).overdue()).toEqual(['l']);
    const settle = async (store: LeaseStore): Promise<number> => {
      let sum = 0;
      for (let settled = 1; settled > 0; sum += settled) settled = await store.settleEnded('l', 7);
      return sum;
    };
    const sums = await Promise.all([settle(leasesOf(one)), settle(leasesOf(other))]);
    expect(sums[0] + sums[1]).toBe(100);
    const messages = await waiting(one, 'jobs', 100);
    expect(messages.toSorted()).toEqual(records.map(({ payload }) => String(payload)).toSorted());
    expect(await cli(redis, 'LLEN', 'busgate:queue:jobs')).toBe('0');
    const answers = [await leasesOf(own).renew('l', 10_000), await leasesOf(own).hold('l', [recordOf(1)]), await leasesOf(own).settle('l', 'k1', recordOf(1))];
    expect(answers).toEqual(['ended', 'ended', 'ended']);
    expect(await leasesOf(other).overdue()).toEqual([]);
    expect(Number(await cli(redis, 'PTTL', '{busgate:lease:l}:state'))).toBeGreaterThan(86_400_000);
    expect(await cli(redis, 'ZCARD', 'busgate:leases')).toBe('0');
  });

  test('one that is over may be renewed until somebody settles it', async () => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    const store = leasesOf(own);
    await store.grant('l', 50);
    await store.hold('l', [recordOf(1)]);
    await expect.poll(() => store.overdue()).toEqual(['l']);
    expect(await store.renew('l', 60_000)).toBe('done');
    expect([await store.settleEnded('l', 10), await store.overdue()]).toEqual([0, []]);
    expect(await store.settle('l', 'k1', recordOf(7))).toBe('done');
    expect(await waiting(own, 'jobs', 1)).toEqual([String(recordOf(7).payload)]);
    expect(await store.settle('l', 'k1')).toBe('missing');
    await store.release('l');
    expect(await store.renew('l', 1000)).toBe('missing');
  });

  test.each([
    ['one server', startRedis, ({ url }: Broker) => url],
    ['a cluster', startClusterOfOne, clusterUrl],
  ])("on %s, what others write in the place of records is replaced by their own process, and is in nobody's way", async (_, start, urlOf) => {
    await using redis = await start();
    await using own = await openDriver(urlOf(redis), 'own');
    await using other = await openDriver(urlOf(redis), 'other');
    const store = leasesOf(own);
    await store.grant('l', 100);
    await store.hold('l', [recordOf(1), recordOf(2), recordOf(3)]);
    for (const [key, junk] of ['\u00ffjunk', '1 2', ''].entries()) await cli(redis, 'HSET', '{busgate:lease:l}:records', `k${key + 1}`, junk);
    expect(await store.settle('l', 'k1', recordOf(1))).toBe('missing');
    await store.hold('l', [recordOf(1)]);
    expect(await store.settle('l', 'k1', recordOf(1))).toBe('done');
    await store.hold('l', [recordOf(4)]);
    await expect.poll(() => leasesOf(other).overdue()).toEqual(['l']);
    let settled = 0;
    while (settled < 3) settled += await leasesOf(other).settleEnded('l', 1);
    expect(await leasesOf(other).overdue()).toEqual([]);
    expect((await waiting(other, 'jobs', 2)).toSorted()).toEqual([recordOf(1), recordOf(4)].map(({ payload }) => String(payload)));
  });

  test.each(['state', 'records'])('what is no lease where its %s should be is none: its own process makes it anew', async (part) => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    const store = leasesOf(own);
    await store.grant('l', 60_000);
    await store.hold('l', [recordOf(1)]);
    await cli(redis, 'SET', `{busgate:lease:l}:${part}`, 'junk');
    expect([await store.renew('l', 60_000), await store.hold('l', [recordOf(1)]), await store.settle('l', 'k1')]).toEqual(['missing', 'missing', 'missing']);
    expect([await store.overdue(), await store.settleEnded('l', 10)]).toEqual([[], 0]);
    await store.grant('l', 60_000);
    expect([await store.hold('l', [recordOf(1)]), await store.settle('l', 'k1', recordOf(1))]).toEqual(['done', 'done']);
    expect(await waiting(own, 'jobs', 1)).toEqual([String(recordOf(1).payload)]);
  });

  test.each([
    ['overwritten', ['SET', '{busgate:lease:l}:state', 'junk']],
    ['emptied', ['HSET', '{busgate:lease:l}:state', 'ends', 'junk']],
    ['taken away', ['DEL', '{busgate:lease:l}:state']],
  ])('a lease whose state others have %s goes on with all that it holds for as long as it lasted, and is settled when nobody renews it', async (_, command) => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    await using other = await openDriver(redis.url, 'other');
    const endOf = async (): Promise<number> => Number(await cli(redis, 'HGET', '{busgate:lease:l}:state', 'ends'));
    await leasesOf(own).grant('l', 60_000);
    await leasesOf(own).hold('l', [recordOf(1)]);
    const end = await endOf();
    await cli(redis, ...command);
    await cli(redis, 'ZADD', 'busgate:leases', '1', 'l');
    expect(await leasesOf(other).overdue()).toEqual([]);
    expect(Math.abs((await endOf()) - end)).toBeLessThan(10);
    expect(await leasesOf(own).renew('l', 50)).toBe('done');
    await cli(redis, ...command);
    await cli(redis, 'ZADD', 'busgate:leases', '1', 'l');
    await expect.poll(() => leasesOf(other).overdue()).toEqual(['l']);
    expect(await leasesOf(other).settleEnded('l', 10)).toBe(1);
    expect(await waiting(other, 'jobs', 1)).toEqual([String(recordOf(1).payload)]);
  });

  test('a message that was queued with the id of a record is not queued again', async () => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    const store = leasesOf(own);
    await store.grant('l', 50);
    await store.hold('l', [recordOf(1), recordOf(2)]);
    await own.push('jobs', Buffer.from('{"was":"queued"}'), { id: recordOf(1).id, exempt: true });
    await expect.poll(() => store.overdue()).toEqual(['l']);
    expect(await store.settleEnded('l', 10)).toBe(2);
    expect(await waiting(own, 'jobs', 2)).toEqual(['{"was":"queued"}', String(recordOf(2).payload)]);
  });

  test('a record whose queue is none keeps no other one, and is kept itself', async () => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own');
    const store = leasesOf(own);
    await cli(redis, 'SET', 'busgate:queue:none', 'x');
    await store.grant('l', 50);
    await store.hold('l', [recordOf(1, 'none'), recordOf(2)]);
    await expect.poll(() => store.overdue()).toEqual(['l']);
    expect(await store.settleEnded('l', 10)).toBe(1);
    await expect(store.settleEnded('l', 10)).rejects.toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    await cli(redis, 'DEL', 'busgate:queue:none');
    expect(await store.settleEnded('l', 10)).toBe(1);
    expect(await waiting(own, 'none', 1)).toEqual([String(recordOf(1).payload)]);
  });

  test('a full queue takes it, nothing is without a time to live, and flush removes all', async () => {
    await using redis = await startRedis();
    await using own = await openDriver(redis.url, 'own', { capacity: 1 });
    const store = leasesOf(own);
    await own.push('jobs', Buffer.from('{}'));
    await store.grant('l', 60_000);
    await store.hold('l', [recordOf(1), recordOf(2)]);
    expect(await store.settle('l', 'k1', recordOf(1))).toBe('done');
    expect(await cli(redis, 'LLEN', 'busgate:queue:jobs')).toBe('2');
    expect(await own.push('jobs', Buffer.from('{}'))).toBe(false);
    const keys = (await cli(redis, 'KEYS', '*')).split('\n');
    expect(keys).toHaveLength(5);
    for (const key of keys) expect(Number(await cli(redis, 'PTTL', key)), key).toBeGreaterThan(0);
    await own.flush();
    expect(await cli(redis, 'DBSIZE')).toBe('0');
  });

  test('on a cluster, where the answer to settling was lost, its own process may repeat it, and is told that it is done', async () => {
    await using redis = await startClusterOfOne();
    await using own = await openDriver(clusterUrl(redis), 'own');
    const store = leasesOf(own);
    await store.grant('l', 60_000);
    await store.hold('l', [recordOf(1)]);
    // The message was queued, and the record was not taken away.
    await own.push('jobs', Buffer.from('{"was":"queued"}'), { id: recordOf(1).id, exempt: true });
    expect(await store.settle('l', 'k1', recordOf(7))).toBe('done');
    expect(await store.settle('l', 'k1', recordOf(7))).toBe('missing');
    expect(await waiting(own, 'jobs', 1)).toEqual(['{"was":"queued"}']);
    expect(await cli(redis, 'LLEN', 'busgate:queue:jobs')).toBe('0');
  });
});
