import { Buffer } from 'node:buffer';
import { openLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Broker } from '../../support/brokers.ts';
import { redisCli, RedisCluster } from '../../support/redis-forms.ts';
import { connects, listen } from '../../../packages/layer-redis/test/support.ts';

let cluster: RedisCluster;
let other: Cluster;

beforeAll(async () => {
  cluster = await RedisCluster.start();
  other = new Cluster(cluster.nodes.map((node) => ({ host: '127.0.0.1', port: node.port })));
});

afterAll(async () => {
  await other?.quit();
  await cluster?.[Symbol.asyncDispose]();
});

layerConformance(
  { describe, test },
  {
    name: 'redis cluster',
    open: (options) => openLayer(cluster.url, options),
    publishRaw: async (topicName, payload) => {
      await other.publish(topicName, Buffer.from(payload));
    },
  },
);

/** A primary that is not the owner of that key. */
async function elsewhere(key: string): Promise<Broker> {
  const owner = await cluster.ownerOf(key);
  return cluster.nodes.find((node) => node !== owner) as Broker;
}

describe('Redis Cluster', () => {
  test('SPUBLISH at the shard and PUBLISH at any node arrive, once each', async () => {
    await using layer = await openLayer(cluster.url);
    const events = await listen(layer, 'both');
    const owner = await cluster.ownerOf('busgate:room:both');
    await redisCli(owner.port, 'SPUBLISH', 'busgate:room:both', 'sharded');
    for (const node of cluster.nodes) await redisCli(node.port, 'PUBLISH', 'busgate:room:both', `plain ${node.port}`);
    await events.take(4);
    await layer.publish('both', 'end');
    await events.next();
    expect(events.all.toSorted()).toEqual(['end', ...cluster.nodes.map((node) => `plain ${node.port}`).toSorted(), 'sharded']);
  });

  test('a slot moves while messages flow: none is delivered twice, and a loss is told', async () => {
    await using layer = await openLayer(cluster.url);
    const room = 'moving';
    const key = `busgate:room:${room}`;
    const events = await listen(layer, room);
    let published = 0;
    let stop = false;
    const flow = (async () => {
      for (; !stop; published += 1) await layer.publish(room, `${published}`).catch(() => undefined);
    })();
    await events.take(50);
    await cluster.move(key, await elsewhere(key));
    await events.find((event) => event === 'GAP', 'the gap of the move');
    const told = events.all.length;
    await events.until((all) => all.length > told + 50, 'messages after the move');
    stop = true;
    await flow;
    await layer.publish(room, 'end');
    await events.find((event) => event === 'end');
    const numbers = events.all.filter((event) => /^\d+$/.test(event)).map(Number);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(events.all.filter((event) => event === 'GAP')).toHaveLength(1);
  });

  test('queues and histories follow their slots', async () => {
    await using layer = await openLayer(cluster.url, { history: [{ rooms: '>', size: 100, ageMs: 60_000 }] });
    await layer.send('travelling', { n: 1 });
    await layer.publish('told', 'before');
    for (const key of ['busgate:queue:travelling', 'busgate:room:told']) await cluster.move(key, await elsewhere(key));
    await layer.send('travelling', { n: 2 });
    expect([await layer.receive('travelling'), await layer.receive('travelling')]).toEqual([{ n: 1 }, { n: 2 }]);
    const events = await listen(layer, 'told');
    await layer.publish('told', 'after');
    await events.find((event) => event === 'after');
  });

  test('rooms and queues are spread over the shards, one subscriber connection each', async () => {
    await using layer = await openLayer(cluster.url);
    await Promise.all(Array.from({ length: 300 }, (_, index) => listen(layer, `spread.${index}`)));
    for (const node of cluster.nodes) {
      const channels = (await redisCli(node.port, 'PUBSUB', 'SHARDCHANNELS', 'busgate:room:spread.*')).split('\n');
      expect(channels.length).toBeGreaterThan(50);
      const subscribers = (await redisCli(node.port, 'CLIENT', 'LIST')).split('\n').filter((line) => / ssub=[1-9]/.test(line));
      expect(subscribers).toHaveLength(1);
    }
  });
});

describe('Redis Cluster with replicas', () => {
  test('a primary dies: its replica takes over, and its rooms are told', async () => {
    await using replicated = await RedisCluster.start({ primaries: 3, replicas: 1 });
    await using layer = await openLayer(replicated.url);
    const key = 'busgate:room:failing';
    const events = await listen(layer, 'failing');
    await layer.publish('failing', 'before');
    await events.next();
    await (await replicated.ownerOf(key)).kill();
    await connects(layer, 2);
    await layer.publish('failing', 'after');
    expect(await events.take(2)).toEqual(['GAP', 'after']);
  });
});
