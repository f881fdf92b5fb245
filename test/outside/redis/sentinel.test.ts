import { Buffer } from 'node:buffer';
import { openLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectFaults, faultsOf } from '../../support/faults.ts';
import type { Broker } from '../../support/brokers.ts';
import { redisCli, RedisSentinel } from '../../support/redis-forms.ts';
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

  test('the primary is killed: the replica takes over, each room is told once, and a history begins a new epoch (attack 101)', async () => {
    await using sentinels = await RedisSentinel.start({ failsOver: true });
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

  test('a failover with lost writes: what was accepted and is not there any more is told as a gap, and its position is not given again', async () => {
    await using sentinels = await RedisSentinel.start({ failsOver: true });
    await using layer = await openLayer(sentinels.url, { history });
    const events = await listen(layer, 'kept.1');
    await layer.publish('kept.1', 'safe');
    const primary = await sentinels.primary();
    const replica = sentinels.servers.find((server) => server !== primary) as Broker;
    await expect.poll(() => redisCli(replica.port, 'XLEN', '{busgate:room:kept.1}:history')).toBe('1');
    await replica.stop();
    const lost = await layer.publish('kept.1', 'lost');
    await events.find((event) => event === 'lost');
    await primary.kill();
    await replica.start();
    await sentinels.failedOver(primary);
    await connects(layer, 2);
    const after = await layer.publish('kept.1', 'in its place');
    await events.find((event) => event === 'in its place');
    expect(events.all).toEqual(['safe', 'lost', 'GAP', 'in its place']);
    expect(after.position?.split(':')[0]).not.toBe(lost.position?.split(':')[0]);
    const late: string[] = [];
    const { recovered } = await layer.subscribe('kept.1', (event) => late.push(event.gap === true ? 'GAP' : String(Buffer.from(event.payload))), {
      since: lost.position as string,
    });
    expect([recovered, late]).toEqual([false, ['GAP']]);
  });

  test('servers and sentinels that want a password, each its own credentials in the one URL', async () => {
    process.env['REDISCLI_AUTH'] = 's%cret';
    try {
      await using sentinels = await RedisSentinel.start({ password: 's%cret' });
      const secret = 's%25cret';
      const url = sentinels.url.replace('//', `//:${secret}@`);
      const primary = await sentinels.primary();
      await redisCli(primary.port, 'ACL', 'SETUSER', 'gateway', 'on', '>own', '~*', '&*', '+@all');
      for (const whole of [`${url}?sentinelPassword=${secret}`, `${url.replace(`:${secret}@`, 'gateway:own@')}?sentinelPassword=${secret}`]) {
        await using layer = await openLayer(whole);
        const events = await listen(layer, 'r');
        await layer.publish('r', 'x');
        expect(await events.next()).toBe('x');
      }
      await expect(openLayer(url)).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringContaining('sentinelPassword') });
    } finally {
      delete process.env['REDISCLI_AUTH'];
    }
  });

  test('the primary is paused and deposed: when it comes back, nobody believes it any more', async () => {
    await using sentinels = await RedisSentinel.start({ failsOver: true });
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
