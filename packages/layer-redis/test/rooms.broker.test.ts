import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { OwnTime } from '../../../test/support/own-time.ts';
import { Line } from './line.ts';
import { cli, connects, listen, state } from './support.ts';

describe('rooms on a Redis of their own', () => {
  test('a plain PUBLISH of any client reaches the room', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, '1');
    expect(await cli(redis, 'PUBLISH', 'busgate:room:1', 'hello')).toBe('1');
    expect(await events.next()).toBe('hello');
  });

  test('a restart: calls reject at once while it is away, then one gap a room, before anything else', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const rooms = await Promise.all(Array.from({ length: 1200 }, (_, index) => listen(layer, `r.${index}`)));
    await redis.kill();
    await state(layer, 'away');
    await expect(layer.publish('r.0', 'lost')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await expect(layer.subscribe('r.0', () => undefined)).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await redis.start({ empty: true });
    await state(layer, 'connected');
    for (const index of rooms.keys()) await layer.publish(`r.${index}`, 'after');
    for (const events of rooms) expect(await events.take(2)).toEqual(['GAP', 'after']);
  });

  test('a broker that stops answering is found, its call has an unknown outcome, and on return there is one gap', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    redis.pause();
    using time = new OwnTime();
    await expect(layer.publish('r', 'held up')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(time.ms).toBeLessThan(5000);
    await state(layer, 'away');
    redis.resume();
    await state(layer, 'connected');
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all).toEqual(['GAP', 'after']);
  });

  test('a subscriber connection that is cut is replaced, and each room is told', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const events = await listen(layer, 'r');
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await events.next()).toBe('GAP');
    await state(layer, 'connected');
    await layer.publish('r', 'after');
    expect(await events.next()).toBe('after');
  });

  test('a subscriber connection that is open and silent is found by a message of our own, and replaced (attack 95)', async () => {
    await using redis = await startRedis();
    await using line = await Line.to(redis.port);
    await using layer = await openLayer(line.url);
    const events = await listen(layer, 'r');
    expect(line.silence('subscribe')).toBe(1);
    await layer.publish('r', 'unheard');
    expect(await events.next()).toBe('GAP');
    await connects(layer, 2);
    await layer.publish('r', 'after');
    expect(await events.next()).toBe('after');
  });

  test('one subscription a room and process, let go after the last listener', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    await using other = await openLayer(redis.url);
    const held = await Promise.all([layer, layer, layer, other].map((each) => each.subscribe('r', () => undefined)));
    const subscribed = (): Promise<string> => cli(redis, 'PUBSUB', 'NUMSUB', 'busgate:room:r');
    expect(await subscribed()).toBe('busgate:room:r\n2');
    await held[0]?.close();
    await held[1]?.close();
    expect(await subscribed()).toBe('busgate:room:r\n2');
    await held[2]?.close();
    await held[3]?.close();
    await expect.poll(subscribed).toBe('busgate:room:r\n0');
  });

  test('the layer opens while there is no broker, and works when there is one', async () => {
    await using redis = await startRedis();
    await redis.kill();
    await using layer = await openLayer(redis.url);
    expect(layer.status.state).toBe('away');
    await redis.start();
    await state(layer, 'connected');
    const events = await listen(layer, 'r');
    await layer.publish('r', 'first');
    expect(await events.next()).toBe('first');
  });

  test('wrong credentials are refused, and the error does not repeat them', async () => {
    await using redis = await startRedis({ config: ['requirepass right'] });
    for (const credentials of ['', ':wrong@', 'nobody:wrong@']) {
      const opened = openLayer(redis.url.replace('//', `//${credentials}`));
      await expect(opened).rejects.toMatchObject({ code: 'REFUSED', message: expect.not.stringContaining('wrong@') });
    }
    await using layer = await openLayer(redis.url.replace('//', '//:right@'));
    expect(layer.status.state).toBe('connected');
  });

  test('close leaves no connection and no subscription', async () => {
    await using redis = await startRedis();
    const layer = await openLayer(redis.url);
    await listen(layer, 'r');
    await layer.close();
    expect(await cli(redis, 'PUBSUB', 'CHANNELS')).toBe('');
    await expect.poll(async () => (await cli(redis, 'CLIENT', 'LIST')).split('\n').length).toBe(1);
    await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
  });
});
