import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faultsOf } from '../../support/faults.ts';
import { NatsCluster } from '../../support/nats-cluster.ts';
import { persist } from '../../support/outcomes.ts';
import { keepingLog } from '../../../packages/layer-nats/test/support/log.ts';
import { listen, state } from '../../../packages/layer-nats/test/support/rooms.ts';

let cluster: NatsCluster;
let other: NatsConnection;

/** Resolves once the cluster keeps what is sent, which after a start or a loss takes an election. */
function elected(layer: ChannelLayer): Promise<unknown> {
  return persist(async () => {
    await layer.send('elected', { n: 1 });
    return layer.receive('elected');
  });
}

beforeAll(async () => {
  cluster = await NatsCluster.start();
  other = await connect({ servers: `127.0.0.1:${cluster.nodes[0]?.port}` });
  await using layer = await openLayer(cluster.url);
  await elected(layer);
});

afterAll(async () => {
  await other?.close();
  await cluster?.[Symbol.asyncDispose]();
});

// All processes at one node: what is promised is promised by the node that a process is connected to.
layerConformance(
  { describe, test },
  {
    name: 'nats cluster',
    open: (options) => openLayer(`nats://127.0.0.1:${cluster.nodes[0]?.port}`, options),
    publishRaw: async (topicName, payload) => {
      other.publish(topicName, payload);
      await other.flush();
    },
  },
);

describe('a cluster of three', () => {
  test('three copies of each stream, unless the URL says otherwise', async () => {
    const manager = await other.jetstreamManager();
    for (const [prefix, query, copies] of [
      ['three', '', 3],
      ['one', '?replicas=1', 1],
    ] as const) {
      await using layer = await openLayer(`${cluster.url}${query}`, { prefix });
      await elected(layer);
      expect((await manager.streams.info(`${prefix.toUpperCase()}_QUEUE`)).config.num_replicas).toBe(copies);
    }
  });

  test('nothing but what is published is heard on the subjects of rooms, whatever their history', async () => {
    const heard: string[] = [];
    const spy = await connect({ servers: `127.0.0.1:${cluster.nodes[0]?.port}` });
    spy.subscribe('heard.room.>', { callback: (_, message) => heard.push(`${message.subject} ${message.string()}`) });
    await spy.flush();
    const history = ['kept', 'all.>'].map((rooms) => ({ rooms, size: 10, ageMs: 60_000 }));
    await using layer = await openLayer(`nats://127.0.0.1:${cluster.nodes[0]?.port}`, { prefix: 'heard', history });
    // A stream whose leader is elected anew may lose one, which is made again.
    const rooms = ['kept', 'all.1'];
    for (const room of rooms) for (const text of ['1', '2', '3']) await persist(() => layer.publish(room, text));
    await expect.poll(() => heard.at(-1)).toBe('heard.room.all.1 3');
    expect([...new Set(heard)]).toEqual(rooms.flatMap((room) => ['1', '2', '3'].map((text) => `heard.room.${room} ${text}`)));
    await spy.close();
  });

  test('processes that start at once make one history together: one epoch, and no server falls', async () => {
    const pids = cluster.nodes.map(({ pid }) => pid);
    for (let round = 0; round < 5; round += 1) {
      const options = { prefix: `fleet-${round}`, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] };
      const layers = await Promise.all([...cluster.nodes, ...cluster.nodes].map(({ port }) => openLayer(`nats://127.0.0.1:${port}`, options)));
      const positions = await Promise.all(layers.map(async (layer) => (await layer.publish('kept', 'x')).position));
      expect(new Set(positions.map((position) => position?.split(':')[0])).size).toBe(1);
      expect(new Set(positions).size).toBe(layers.length);
      await Promise.all(layers.map((layer) => layer.close()));
    }
    expect(cluster.nodes.map(({ pid }) => pid)).toEqual(pids);
  });

  test.each([0, 1, 2])('node %i killed and started again under load: nothing stays silent, nothing comes twice, nothing kept is lost', async (index) => {
    const node = cluster.nodes[index];
    const history = [{ rooms: 'kept', size: 10_000, ageMs: 60_000 }];
    const options = { prefix: `killed-${index}`, history, capacity: 10_000 };
    const layers = await Promise.all(cluster.nodes.map(({ port }) => openLayer(`nats://127.0.0.1:${port},${cluster.url.slice('nats://'.length)}`, options)));
    await Promise.all(layers.map(elected));
    const live = await Promise.all(layers.map((layer) => listen(layer, 'live')));
    // What asks for a stream that is still electing its leader, longer than a call waits for it, is told that nothing was done, and does it again.
    const kept = await Promise.all(layers.map((layer) => persist(() => listen(layer, 'kept'))));
    const taken: number[] = [];
    const stop = new AbortController();
    const readers = layers.map(async (layer) => {
      for (;;) taken.push((await layer.receive('work', { signal: stop.signal }))['n'] as number);
    });
    const sent = { kept: [] as string[], work: [] as number[] };
    let n = 0;
    const senders = layers.map(async (layer) => {
      while (!stop.signal.aborted) {
        const mine = (n += 1);
        await layer.publish('live', `${mine}`).catch(() => undefined);
        await layer.publish('kept', `${mine}`).then(() => sent.kept.push(`${mine}`)).catch(() => undefined); // prettier-ignore
        await layer.send('work', { n: mine }).then(() => sent.work.push(mine)).catch(() => undefined); // prettier-ignore
        await delay(5);
      }
    });
    await expect.poll(() => taken.length, { timeout: 20_000 }).toBeGreaterThan(50);
    await node?.kill();
    // The two that are left elect a leader and go on by themselves.
    const before = taken.length;
    await expect.poll(() => taken.length, { timeout: 20_000 }).toBeGreaterThan(before + 50);
    await node?.start();
    await Promise.all(layers.map((layer) => state(layer, 'connected')));
    await Promise.all(layers.map(elected));
    // The servers of a cluster tell each other of new subscriptions by and by.
    for (const [from, layer] of layers.entries()) {
      const arrived = (): boolean => live.every(({ all }) => all.some((event) => event.startsWith(`after ${from} `)));
      for (let attempt = 0; !arrived(); attempt += 1) {
        await layer.publish('live', `after ${from} ${attempt}`);
        await delay(20);
      }
    }
    await expect.poll(() => taken.length, { timeout: 20_000 }).toBeGreaterThan(sent.work.length * 0.9);
    stop.abort();
    await Promise.allSettled([...readers, ...senders]);
    for (const events of live) {
      const numbers = events.all.filter((event) => /^\d+$/.test(event));
      expect(new Set(numbers).size).toBe(numbers.length);
    }
    expect(new Set(taken).size).toBe(taken.length);
    await persist(async () => layers[0]?.publish('kept', 'end'));
    for (const events of kept) {
      await expect.poll(() => events.all.includes('end'), { timeout: 60_000 }).toBe(true);
      expect(events.all).not.toContain('GAP');
      expect(events.all).toEqual(kept[0]?.all);
      expect(sent.kept.filter((text) => !events.all.includes(text))).toEqual([]);
    }
    await Promise.all(layers.map((layer) => layer.close()));
  });

  test('another node leads a stream: its rooms look for what the one before may not have told, and find no gap', async () => {
    await using layer = await openLayer(cluster.url, { prefix: 'led', history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const events = await persist(() => listen(layer, 'kept'));
    const manager = await other.jetstreamManager();
    const name = await manager.streams.find('led.room.kept');
    // Once it has looked for what came before the other servers knew of its subscription.
    await expect.poll(() => layer.stats.repaired, { timeout: 20_000 }).toBeGreaterThan(0);
    const [before, leader] = [layer.stats.repaired, (await manager.streams.info(name)).cluster?.leader];
    await other.request(`$JS.API.STREAM.LEADER.STEPDOWN.${name}`);
    await expect.poll(() => layer.stats.repaired, { timeout: 60_000 }).toBeGreaterThan(before);
    expect((await persist(() => manager.streams.info(name))).cluster?.leader).not.toBe(leader);
    await persist(() => layer.publish('kept', 'after'));
    await events.find((event) => event === 'after');
    expect(events.all).toEqual(['after']);
  });

  test('the node that keeps a queue is killed: its readers go on, every message comes, in order and once', async () => {
    const prefix = 'keeper';
    await using sender = await openLayer(cluster.url, { prefix });
    await elected(sender);
    for (let n = 0; n < 60; n += 1) await sender.send('work', { n });
    const taken: unknown[] = [];
    const take = async (layer: ChannelLayer, count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) taken.push((await layer.receive('work'))['n']);
    };
    await take(sender, 10);
    const manager = await other.jetstreamManager();
    const { cluster: keeper } = await manager.consumers.info('KEEPER_QUEUE', `q_${Buffer.from('work').toString('base64url')}`);
    const index = Number(keeper?.leader?.slice(1));
    const rest = cluster.nodes.filter((_, at) => at !== index).map(({ port }) => `127.0.0.1:${port}`);
    await using first = await openLayer(`nats://${rest[0]}`, { prefix });
    await using second = await openLayer(`nats://${rest[1]}`, { prefix });
    await take(first, 10);
    await take(second, 10);
    await cluster.nodes[index]?.kill();
    await take(first, 15);
    await take(second, 15);
    expect(taken).toEqual(Array.from({ length: 60 }, (_, n) => n));
    await cluster.nodes[index]?.start();
    await state(sender, 'connected');
    await elected(sender);
    await sender.send('work', { n: 'end' });
    expect(await second.receive('work')).toEqual({ n: 'end' });
  });

  test('a process moves to another node when its own is gone, and its rooms are told (attack 103)', async () => {
    const [first] = cluster.nodes;
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(`nats://127.0.0.1:${first?.port}`, { logger });
    const events = await listen(layer, 'moved');
    await first?.kill();
    expect(await events.next()).toBe('GAP');
    await state(layer, 'connected');
    await layer.publish('moved', Buffer.from('here'));
    expect(await events.next()).toBe('here');
    // Where that node led JetStream, a third is told: nothing can be made until another leads it.
    await expect.poll(() => faultsOf(layer), { timeout: 15_000 }).toMatchObject({ connection_lost: 1, moved: 1 });
    for (const kind of ['connection_lost', 'moved']) await lines.find((line) => line.includes(`"kind":"${kind}"`), `a line of ${kind}`);
    await first?.start();
  });
});
