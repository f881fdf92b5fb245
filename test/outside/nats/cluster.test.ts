import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NatsCluster } from '../../support/nats-cluster.ts';
import { listen, state } from '../../../packages/layer-nats/test/support/rooms.ts';

let cluster: NatsCluster;
let other: NatsConnection;

/** Resolves once the cluster keeps what is sent, which after a start or a loss takes an election. */
async function elected(layer: ChannelLayer): Promise<void> {
  for (;;) {
    try {
      await layer.send('elected', { n: 1 });
      await layer.receive('elected');
      return;
    } catch {
      await delay(100);
    }
  }
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

// All processes at one node: what is promised is promised by the node that a process is connected to. One copy of each stream: with three the election of
// a new queue's leader takes longer than the suite's shortest messages live. Three copies are what the tests below are about.
layerConformance(
  { describe, test },
  {
    name: 'nats cluster',
    open: (options) => openLayer(`nats://127.0.0.1:${cluster.nodes[0]?.port}?replicas=1`, options),
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
      await layer.send('work', { n: 1 });
      expect((await manager.streams.info(`${prefix.toUpperCase()}_QUEUE`)).config.num_replicas).toBe(copies);
    }
  });

  test.each([0, 1, 2])('node %i killed and started again under load: nothing stays silent, nothing comes twice, nothing kept is lost', async (index) => {
    const node = cluster.nodes[index];
    const history = [{ rooms: 'kept', size: 10_000, ageMs: 60_000 }];
    const options = { prefix: `killed-${index}`, history, capacity: 10_000 };
    const layers = await Promise.all(cluster.nodes.map(({ port }) => openLayer(`nats://127.0.0.1:${port},${cluster.url.slice('nats://'.length)}`, options)));
    await Promise.all(layers.map(elected));
    const live = await Promise.all(layers.map((layer) => listen(layer, 'live')));
    const kept = await Promise.all(layers.map((layer) => listen(layer, 'kept')));
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
    await layers[0]?.publish('kept', 'end');
    for (const events of kept) {
      await expect.poll(() => events.all.includes('end'), { timeout: 60_000 }).toBe(true);
      expect(events.all).not.toContain('GAP');
      expect(events.all).toEqual(kept[0]?.all);
      expect(sent.kept.filter((text) => !events.all.includes(text))).toEqual([]);
    }
    await Promise.all(layers.map((layer) => layer.close()));
  });

  test('a process moves to another node when its own is gone, and its rooms are told', async () => {
    const [first] = cluster.nodes;
    await using layer = await openLayer(`nats://127.0.0.1:${first?.port}`);
    const events = await listen(layer, 'moved');
    await first?.kill();
    expect(await events.next()).toBe('GAP');
    await state(layer, 'connected');
    await layer.publish('moved', Buffer.from('here'));
    expect(await events.next()).toBe('here');
    await first?.start();
  });
});
