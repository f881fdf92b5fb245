import { Buffer } from 'node:buffer';
import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, listen } from '../../../packages/layer-redis/test/support.ts';
import { startRedis } from '../../support/brokers.ts';
import { DjangoEnvironment } from './django.ts';

let python: DjangoEnvironment;

beforeAll(async () => {
  python = await DjangoEnvironment.make();
});

afterAll(async () => {
  await python?.[Symbol.asyncDispose]();
});

const MESSAGES = [
  { type: 'chat.message', text: 'Grüße 漢字 😀 \u0000' },
  { type: 't', bytes: { $bytes: Buffer.from([0, 1, 255]).toString('base64') }, text: null },
  { type: 't', nested: { list: [1, -1, 1.5, true, null, [{}]], '': 'empty key' }, long: 'x'.repeat(70_000) },
];

describe.each(['channels-core', 'channels-pubsub'])('wire %s beside the real channels_redis', (wire) => {
  test('group_send of a backend reaches the room and the group, publish and groupSend reach its consumers', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}`);
    await using django = await python.backend(wire, { hosts: [redis.url] });
    const events = await listen(layer, 'chat');
    const channel = layer.newChannel();
    await layer.groupAdd('chat', channel);
    for (const message of MESSAGES) {
      await django.call('group_send', 'chat', message);
      expect(JSON.parse(await events.next())).toEqual(message);
      expect(await layer.receive(channel)).toEqual('bytes' in message ? { ...message, bytes: new Uint8Array([0, 1, 255]) } : message);
    }

    const consumer = await django.call('new_channel');
    await django.call('group_add', 'chat', consumer);
    await layer.groupSend('chat', { type: 'chat.message', text: 'é😀', bytes: new Uint8Array([7]), deep: [{ a: null }] });
    expect(await django.call('receive', consumer)).toEqual({ type: 'chat.message', text: 'é😀', bytes: { $bytes: 'Bw==' }, deep: [{ a: null }] });
    await events.next();
    await layer.publish('chat', '{"type":"websocket.disconnect"}');
    expect(await django.call('receive', consumer)).toEqual({ type: 'busgate.message', text: '{"type":"websocket.disconnect"}' });
    expect(await events.next()).toBe('{"type":"websocket.disconnect"}');
    await layer.publish('chat', new Uint8Array([0xff]));
    expect(await django.call('receive', consumer)).toEqual({ type: 'busgate.message', bytes: { $bytes: '/w==' } });
    await layer.groupSend('chat', { type: 'lone', text: 'a\ud800b' });
    expect(await django.call('receive', consumer)).toEqual({ type: 'lone', text: 'a\ufffdb' });
  });

  test('channels of both sides reach each other', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}`);
    await using django = await python.backend(wire, { hosts: [redis.url] });
    const mine = layer.newChannel();
    await django.call('send', mine, { type: 'websocket.send', text: 'hi' });
    expect(await layer.receive(mine)).toEqual({ type: 'websocket.send', text: 'hi' });
    const theirs = (await django.call('new_channel')) as string;
    await layer.send(theirs, { type: 'direct', n: 1 });
    expect(await django.call('receive', theirs)).toEqual({ type: 'direct', n: 1 });
  });

  test('an undecodable message is skipped and counted', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}`);
    await using django = await python.backend(wire, { hosts: [redis.url] });
    const events = await listen(layer, 'chat');
    if (wire === 'channels-pubsub') await cli(redis, 'PUBLISH', 'asgi__group__chat', 'garbage');
    else {
      const inbox = (await cli(redis, 'ZRANGE', 'asgi:group:chat', '0', '-1')).split('!')[0];
      await cli(redis, 'ZADD', `asgi${inbox}!`, '1', 'garbage');
    }
    await django.call('group_send', 'chat', { type: 'good' });
    expect(JSON.parse(await events.next())).toEqual({ type: 'good' });
    expect(layer.stats.undecodable).toBe(1);
  });

  test('two gateways share rooms, groups and what they ask each other', async () => {
    await using redis = await startRedis();
    await using here = await openLayer(`${redis.url}?wire=${wire}`);
    await using there = await openLayer(`${redis.url}?wire=${wire}`);
    const events = await listen(there, 'r');
    for (const payload of ['', 'plain text', '{"json":1}']) {
      await here.publish('r', payload);
      expect(await events.next()).toBe(payload);
    }
    const channel = there.newChannel();
    await here.groupAdd('g', channel);
    await here.groupSend('g', { n: 1 });
    await here.send(channel, { n: 2 });
    expect([await there.receive(channel), await there.receive(channel)]).toEqual([{ n: 1 }, { n: 2 }]);
    await expect(here.publish('no:colons', 'x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  });
});

describe('wire channels-core beside the real channels_redis', () => {
  test('1000 messages that a backend sends in bursts within the capacity are all there', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=channels-core`);
    await using django = await python.backend('channels-core', { hosts: [redis.url] });
    const events = await listen(layer, 'chat');
    for (let round = 0; round < 20; round += 1) {
      // With the 50 that come now never more than the capacity of 100 wait.
      await events.until((all) => all.length >= (round - 1) * 50);
      await django.call('burst', 'chat', 50);
    }
    await events.take(1000);
    expect(events.all).toHaveLength(1000);
  });

  test('worker queues both ways, in order, at their capacity, and as members of groups', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=channels-core`, { capacity: 3 });
    await using django = await python.backend('channels-core', { hosts: [redis.url] });
    for (const n of [1, 2, 3]) await layer.send('thumbnails', { type: 'make', n });
    await expect(layer.send('thumbnails', { type: 'make', n: 4 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    for (const n of [1, 2, 3]) expect(await django.call('receive', 'thumbnails')).toEqual({ type: 'make', n });
    await django.call('send', 'work', { type: 'job', bytes: { $bytes: 'AQ==' } });
    expect(await layer.receive('work')).toEqual({ type: 'job', bytes: new Uint8Array([1]) });
    await layer.groupAdd('all', 'work');
    await django.call('group_send', 'all', { type: 'to.group' });
    expect(await layer.receive('work')).toEqual({ type: 'to.group' });
  });

  test('a gateway that closes leaves its groups', async () => {
    await using redis = await startRedis();
    const layer = await openLayer(`${redis.url}?wire=channels-core`);
    await listen(layer, 'chat');
    expect(await cli(redis, 'ZCARD', 'asgi:group:chat')).toBe('1');
    await layer.close();
    expect(await cli(redis, 'KEYS', '*')).toBe('');
  });
});
