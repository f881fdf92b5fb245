import { openLayer, type ChannelLayer } from '@busgate/layer';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Log } from '../../../packages/layer-redis/test/log.ts';
import { cli, connects, listen, state } from '../../../packages/layer-redis/test/support.ts';
import { startRedis } from '../../support/brokers.ts';
import { DistantRedis } from '../../support/netns.ts';

/** The code with which a call ends; `taken` where it does not fail. */
function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'taken',
    (error: { code?: string }) => String(error.code),
  );
}

async function expectToWork(layer: ChannelLayer, room: string): Promise<void> {
  const events = await listen(layer, room);
  await layer.publish(room, 'works');
  expect(await events.next()).toBe('works');
}

describe('when Redis misbehaves', () => {
  test('paused for 10 s under load: found within 5 s, memory stays bounded, one gap on return', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    redis.pause();
    const since = performance.now();
    const calls: Promise<string>[] = [];
    const payload = 'x'.repeat(20_000);
    while (layer.status.state === 'connected') {
      for (let count = 0; count < 500; count += 1) calls.push(outcome(layer.publish('r', payload)));
      await delay(10);
    }
    expect(performance.now() - since).toBeLessThan(5000);
    const codes = await Promise.all(calls);
    expect([...new Set(codes)].toSorted()).toEqual(['LAYER_AWAY', 'OUTCOME_UNKNOWN']);
    expect(codes.filter((code) => code === 'OUTCOME_UNKNOWN').length).toBeLessThan(10_000);
    await delay(10_000 - (performance.now() - since));
    redis.resume();
    await state(layer, 'connected');
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all).toEqual(['GAP', 'after']);
  });

  test('cut off without a word (iptables): found within 5 s, one gap on return', async () => {
    const log = new Log();
    await using redis = await DistantRedis.start();
    await using layer = await openLayer(redis.url, { logger: log });
    const events = await listen(layer, 'r');
    await redis.cut();
    const since = performance.now();
    await expect(layer.publish('r', 'lost')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(performance.now() - since).toBeLessThan(5000);
    await log.has('the broker is away');
    await redis.mend();
    await connects(layer, 2);
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all.filter((event) => event === 'GAP')).toHaveLength(1);
  });

  test('a slow line (tc) is not a dead one', async () => {
    await using redis = await DistantRedis.start();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    await redis.slow(400);
    const body = 'x'.repeat(10_000);
    for (let count = 0; count < 40; count += 1) await layer.publish('r', `${count} ${body}`);
    await events.take(40);
    expect(events.all.map((event) => Number(event.split(' ')[0]))).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect(layer.stats.connects).toBe(1);
  });

  test('the output buffer limit cuts off the subscriber: each room is told, and it goes on', async () => {
    await using redis = await startRedis({ config: ['client-output-buffer-limit pubsub 1mb 1mb 1'] });
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    await cli(redis, 'EVAL', "for _ = 1, 100 do redis.call('PUBLISH', 'busgate:room:r', string.rep('x', 500000)) end", '0');
    await events.find((event) => event === 'GAP');
    await connects(layer, 2);
    await expectToWork(layer, 'other');
  });

  test('killed and restarted empty again and again: memberships and rooms are there each time', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    const channel = layer.newChannel();
    await layer.groupAdd('g', channel);
    await layer.groupAdd('g', 'jobs');
    for (let round = 1; round <= 3; round += 1) {
      await redis.kill();
      await state(layer, 'away');
      await redis.start({ empty: true });
      await connects(layer, round + 1);
      await layer.publish('r', `${round}`);
      expect(await events.take(2)).toEqual(['GAP', `${round}`]);
      await expect.poll(() => cli(redis, 'ZCARD', '{busgate:group:g}:queues')).toBe('1');
      await layer.groupSend('g', { round });
      expect([await layer.receive(channel), await layer.receive('jobs')]).toEqual([{ round }, { round }]);
    }
  });

  test('10,000 rooms are subscribed again within 1 s of the return', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    let gaps = 0;
    await Promise.all(Array.from({ length: 10_000 }, (_, index) => layer.subscribe(`r.${index}`, (event) => (gaps += event.gap === true ? 1 : 0))));
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    const since = performance.now();
    await connects(layer, 2);
    expect(performance.now() - since).toBeLessThan(1000);
    expect(gaps).toBe(10_000);
  });
});
