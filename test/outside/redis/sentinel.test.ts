import { Buffer } from 'node:buffer';
import { openLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectFaults, faultsOf } from '../../support/faults.ts';
import { RedisSentinel } from '../../support/redis-forms.ts';
import { Log } from '../../../packages/layer-redis/test/log.ts';
import { connects, listen } from '../../../packages/layer-redis/test/support.ts';

let sentinel: RedisSentinel;
let other: Redis;

beforeAll(async () => {
  sentinel = await RedisSentinel.start();
  other = new Redis((await sentinel.primary()).url);
});

afterAll(async () => {
  other?.disconnect();
  await sentinel?.[Symbol.asyncDispose]();
});

layerConformance(
  { describe, test },
  {
    name: 'redis sentinel',
    open: (options) => openLayer(sentinel.url, options),
    publishRaw: async (topicName, payload) => {
      await other.publish(topicName, Buffer.from(payload));
    },
  },
);

const history = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];

describe('Redis Sentinel', () => {
  test('an unknown primary is said, and waited for', async () => {
    const log = new Log();
    await using layer = await openLayer(sentinel.url.replace('mymaster', 'nobody'), { logger: log });
    expect(layer.status.state).toBe('away');
    await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await expectFaults(layer, log.lines, { unreachable: 1 });
    expect(layer.status.reason).toContain('nobody');
  });

  test('the primary is killed: the replica takes over, each room is told once, and a history begins a new epoch', async () => {
    await using sentinels = await RedisSentinel.start();
    const log = new Log();
    await using layer = await openLayer(sentinels.url, { history, logger: log });
    const [live, kept] = [await listen(layer, 'live'), await listen(layer, 'kept.1')];
    const before = await layer.publish('kept.1', 'before');
    await layer.publish('live', 'before');
    await Promise.all([live.next(), kept.next()]);
    const primary = await sentinels.primary();
    await primary.kill();
    await sentinels.failedOver(primary);
    await connects(layer, 2);
    const after = await layer.publish('kept.1', 'after');
    await layer.publish('live', 'after');
    expect(await live.take(2)).toEqual(['GAP', 'after']);
    expect(await kept.take(2)).toEqual(['GAP', 'after']);
    expect(after.position?.split(':')[0]).not.toBe(before.position?.split(':')[0]);
    expect(faultsOf(layer)).toMatchObject({ connection_lost: 1, moved: 1 });
    for (const kind of ['connection_lost', 'moved']) await log.has(`"kind":"${kind}"`);
  });

  test('the primary is paused and deposed: when it comes back, nobody believes it any more', async () => {
    await using sentinels = await RedisSentinel.start();
    await using layer = await openLayer(sentinels.url);
    const events = await listen(layer, 'r');
    const primary = await sentinels.primary();
    primary.pause();
    await sentinels.failedOver(primary);
    primary.resume();
    await connects(layer, 2);
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all).toEqual(['GAP', 'after']);
    expect(primary.port).not.toBe(await sentinels.primaryPort());
  });
});
