import { Buffer } from 'node:buffer';
import { openLayer } from '@busgate/layer';
import type { LeaseStore } from '@busgate/layer/driver';
import { layerConformance } from '@busgate/layer/conformance';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Broker } from '../../support/brokers.ts';
import { Collector } from '../../support/events.ts';
import { expectFaults, faultsOf } from '../../support/faults.ts';
import { redisCli, RedisCluster } from '../../support/redis-forms.ts';
import { Connection } from '../../../packages/layer-redis/src/connection.ts';
import { Subscriber, type Held } from '../../../packages/layer-redis/src/subscriber.ts';
import { openDriver } from '../../../packages/layer-redis/test/drivers.ts';
import { Log } from '../../../packages/layer-redis/test/log.ts';
import { expectAll } from '../../../packages/layer-redis/test/payloads.ts';
import { allow, connects, hasFunctions, listen } from '../../../packages/layer-redis/test/support.ts';
import { OwnTime } from '../../support/own-time.ts';

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

/** A user with the documented rules on each node; the URL that names it. */
async function allowOnAll(): Promise<string> {
  for (const node of cluster.nodes) await allow(node, '+cluster|slots', '+command|info', '+asking');
  return cluster.url.replace('//', '//gateway:s%25cret@');
}

describe('Redis Cluster', () => {
  test('SPUBLISH at the shard and PUBLISH at any node arrive, once each', async () => {
    await using layer = await openLayer(cluster.url);
    const events = await listen(layer, 'both');
    const owner = await cluster.ownerOf('busgate:room:both');
    // Before Redis 7 there is only the one.
    await redisCli(owner.port, (await hasFunctions(owner)) ? 'SPUBLISH' : 'PUBLISH', 'busgate:room:both', 'sharded');
    for (const node of cluster.nodes) await redisCli(node.port, 'PUBLISH', 'busgate:room:both', `plain ${node.port}`);
    await events.take(4);
    await layer.publish('both', 'end');
    await events.next();
    expect(events.all.toSorted()).toEqual(['end', ...cluster.nodes.map((node) => `plain ${node.port}`).toSorted(), 'sharded']);
  });

  test('3,000 payloads of any bytes, from none to 1 MiB, arrive as they are, once and in order', async () => {
    await using layer = await openLayer(cluster.url);
    await using publisher = await openLayer(cluster.url);
    await expectAll(layer, publisher, 'random', 3000);
  });

  test.each(['moving', 'kept.moving'])('the slot of %s moves while messages flow: none is delivered twice, and a loss is told', async (room) => {
    const log = new Log();
    await using layer = await openLayer(cluster.url, { history: [{ rooms: 'kept.>', size: 100_000, ageMs: 60_000 }], logger: log });
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
    await expectFaults(layer, log.lines, { moved: 1 });
  });

  test('a queue whose slot moves while it is written and read: all of it, once, in order', async () => {
    await using layer = await openLayer(cluster.url, { capacity: 100_000 });
    await using reader = await openLayer(cluster.url, { capacity: 100_000 });
    const seen = new Collector<number>();
    const stop = new AbortController();
    const reading = (async () => {
      for (;;) seen.push((await reader.receive('flowing', { signal: stop.signal }))['n'] as number);
    })().catch((error: unknown) => error);
    const accepted: number[] = [];
    const writing = (async () => {
      for (let n = 0; !stop.signal.aborted; n += 1) {
        await layer.send('flowing', { n }).then(
          () => accepted.push(n),
          () => undefined,
        );
      }
    })();
    for (let move = 1; move <= 3; move += 1) {
      await seen.until((all) => all.length > move * 100);
      await cluster.move('busgate:queue:flowing', await elsewhere('busgate:queue:flowing'));
    }
    const moved = seen.all.length;
    await seen.until((all) => all.length > moved + 100);
    const last = accepted.length;
    await seen.until(() => accepted.length > last);
    stop.abort(new Error('enough'));
    await writing;
    expect(await reading).toEqual(new Error('enough'));
    for (let left = accepted.length - seen.all.length; left > 0; left -= 1) seen.push((await reader.receive('flowing'))['n'] as number);
    expect(seen.all).toEqual(accepted);
  });

  test('the last message of a queue whose slot is on its way is given to who takes several at once', async () => {
    await using layer = await openLayer(cluster.url);
    const key = 'busgate:queue:leaving';
    const to = await elsewhere(key);
    for (const n of [0, 1]) await layer.send('leaving', { n });
    await cluster.beginMove(key, to);
    // One is taken for the first of them, then what there is for the others.
    const received = [0, 1, 2].map(() => layer.receive('leaving'));
    expect(await Promise.all(received.slice(0, 2))).toEqual([{ n: 0 }, { n: 1 }]);
    await cluster.move(key, to);
    await layer.send('leaving', { n: 2 });
    expect(await received[2]).toEqual({ n: 2 });
  });

  test('who only listens is told of a move by the end of its sharded subscription, at once', async () => {
    await using layer = await openLayer(cluster.url);
    const room = 'followed';
    const key = `busgate:room:${room}`;
    const sharded = await hasFunctions(cluster.nodes[0] as Broker);
    const events = await listen(layer, room);
    let waited = 0;
    for (let move = 0; move < 8; move += 1) {
      await cluster.move(key, await elsewhere(key));
      using time = new OwnTime();
      expect(await events.next()).toBe('GAP');
      waited += time.ms;
      await redisCli((await cluster.ownerOf(key)).port, sharded ? 'SPUBLISH' : 'PUBLISH', key, `${move}`);
      expect(await events.next()).toBe(`${move}`);
    }
    // Asking the cluster now and then, as before Redis 7, takes a second each on average.
    expect(waited).toBeLessThan(sharded ? 4000 : 24_000);
  });

  test('a slot that moved while the connection for subscriptions was down: every room of that server is told one gap, and hears on', async () => {
    await using layer = await openLayer(cluster.url);
    const from = await cluster.ownerOf('busgate:room:away.0');
    const rooms = new Map<string, Collector<string>>();
    for (let index = 0; rooms.size < 12; index += 1) {
      if ((await cluster.ownerOf(`busgate:room:away.${index}`)) === from) rooms.set(`away.${index}`, await listen(layer, `away.${index}`));
    }
    const to = await elsewhere('busgate:room:away.0');
    await cluster.beginMove('busgate:room:away.0', to);
    const slot = await redisCli(from.port, 'CLUSTER', 'KEYSLOT', 'busgate:room:away.0');
    const toId = await redisCli(to.port, 'CLUSTER', 'MYID');
    await redisCli(to.port, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    const admin = new Redis(from.port);
    await admin.multi().call('CLUSTER', 'SETSLOT', slot, 'NODE', toId).call('CLIENT', 'KILL', 'TYPE', 'pubsub').exec();
    admin.disconnect();
    for (const events of rooms.values()) expect(await events.next()).toBe('GAP');
    await connects(layer, 2);
    for (const [room, events] of rooms) {
      await layer.publish(room, 'after');
      expect(await events.next()).toBe('after');
    }
  });

  test('a room that belongs to another server is refused alone: the others of its batch are told their gap', async () => {
    const node = cluster.nodes[0] as Broker;
    const connection = await Connection.open({ host: '127.0.0.1', port: node.port }, { credentials: {}, db: 0, tls: undefined, name: 'test' });
    const gaps: string[] = [];
    const held = (channel: string): Held => ({ sink: { gap: () => gaps.push(channel) }, channels: new Map([[channel, { message() {} }]]) });
    const [own, foreign] = [new Set<string>(), new Set<string>()];
    for (let index = 0; own.size < 11 || foreign.size < 1; index += 1) {
      const channel = `busgate:room:batch.${index}`;
      if ((await cluster.ownerOf(channel)) === node) own.add(channel);
      else if (foreign.size === 0) foreign.add(channel);
    }
    const sharded = await hasFunctions(node);
    const refusals = await new Subscriber(connection, sharded).resubscribe([...own, ...foreign].map(held));
    const refused = refusals.flatMap((refusal) => [...refusal.held.channels.keys()]);
    expect(refused).toEqual(sharded ? [...foreign] : []);
    expect(gaps.toSorted()).toEqual([...own, ...(sharded ? [] : foreign)].toSorted());
    connection.destroy('over');
  });

  test('a record of a lease whose message was queued already, since who settled it died in between, is not queued again', async () => {
    await using driver = await openDriver(cluster.url, 'own');
    const store = driver.leases as LeaseStore;
    const queues = ['ended.1', 'ended.2', 'ended.3', 'ended.4'];
    await store.grant('l', 50);
    await store.hold(
      'l',
      queues.map((queue) => ({ key: queue, id: `${queue} i`, queue, payload: Buffer.from('{"held":true}'), expiryMs: 60_000 })),
    );
    await expect.poll(() => store.overdue()).toEqual(['l']);
    // Who settles marks the lease as ended, and queues; here it has died before it took the record away.
    expect(await store.settleEnded('l', 0)).toBe(0);
    await driver.push('ended.1', Buffer.from('{"first":true}'), { id: 'ended.1 i', exempt: true });
    expect(await store.settle('l', 'ended.1', { queue: 'ended.1', payload: Buffer.from('{}'), expiryMs: 1000 })).toBe('ended');
    expect(await store.settleEnded('l', 10)).toBe(4);
    for (const queue of queues) {
      const taken = await driver.pop(queue, 10, new AbortController().signal);
      expect(taken.map(({ payload }) => String(payload))).toEqual([queue === 'ended.1' ? '{"first":true}' : '{"held":true}']);
    }
    expect([await store.settleEnded('l', 10), await store.overdue(), await store.renew('l', 1000)]).toEqual([0, [], 'ended']);
  });

  test('a user with nothing but the documented rules can do everything', async () => {
    await using layer = await openLayer(await allowOnAll(), { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] });
    const [live, kept] = [await listen(layer, 'live'), await listen(layer, 'kept.1')];
    await layer.publish('live', 'x');
    expect((await layer.publish('kept.1', 'y')).position).toBeDefined();
    expect([await live.next(), await kept.next()]).toEqual(['x', 'y']);
    await layer.groupAdd('g', 'jobs');
    await layer.groupSend('g', { n: 1 });
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
    await layer.groupDiscard('g', 'jobs');
    for (const node of cluster.nodes) expect(await redisCli(node.port, 'ACL', 'LOG')).toBe('');
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
      const sharded = await hasFunctions(node);
      const channels = (await redisCli(node.port, 'PUBSUB', sharded ? 'SHARDCHANNELS' : 'CHANNELS', 'busgate:room:spread.*')).split('\n');
      expect(channels.length).toBeGreaterThan(50);
      const held = sharded ? / ssub=[1-9]/ : / name=busgate:.* sub=[1-9]/;
      expect((await redisCli(node.port, 'CLIENT', 'LIST')).split('\n').filter((line) => held.test(line))).toHaveLength(1);
    }
  });
});

describe('Redis Cluster without sharded pub/sub', () => {
  test('it is said at the start, and rooms and histories work', async () => {
    const log = new Log();
    const config = (await hasFunctions(cluster.nodes[0] as Broker)) ? ['rename-command SPUBLISH ""', 'rename-command SSUBSCRIBE ""'] : [];
    await using old = await RedisCluster.start({ config });
    await using layer = await openLayer(old.url, { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }], logger: log });
    await log.has('this cluster has no sharded pub/sub');
    const [live, kept] = [await listen(layer, 'live'), await listen(layer, 'kept.1')];
    for (const node of old.nodes) await redisCli(node.port, 'PUBLISH', 'busgate:room:live', 'plain');
    await layer.publish('live', 'end');
    expect((await live.take(4)).toSorted()).toEqual(['end', 'plain', 'plain', 'plain']);
    const { position } = await layer.publish('kept.1', 'kept');
    expect(await kept.next()).toBe('kept');
    expect((await layer.subscribe('kept.1', () => undefined, { since: position as string })).recovered).toBe(true);
  });
});

describe('Redis Cluster with replicas', () => {
  test('a primary dies: its replica takes over, and its rooms are told', async () => {
    await using replicated = await RedisCluster.start({ primaries: 3, replicas: 1 });
    const log = new Log();
    await using layer = await openLayer(replicated.url, { logger: log });
    const key = 'busgate:room:failing';
    const events = await listen(layer, 'failing');
    await layer.publish('failing', 'before');
    await events.next();
    await (await replicated.ownerOf(key)).kill();
    await connects(layer, 2);
    await layer.publish('failing', 'after');
    expect(await events.take(2)).toEqual(['GAP', 'after']);
    expect(faultsOf(layer)).toMatchObject({ connection_lost: 1, unreachable: 1, moved: 1 });
    for (const kind of ['connection_lost', 'unreachable', 'moved']) await log.has(`"kind":"${kind}"`);
  });
});
