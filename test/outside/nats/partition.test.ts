import { Buffer } from 'node:buffer';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { connect, type NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';
import { listen, state } from '../../../packages/layer-nats/test/support/rooms.ts';
import { DistantNats, Network } from '../../support/namespaces.ts';
import { outcome, PAYLOAD, persist, publishUntilAway } from '../../support/outcomes.ts';
import { RemoteLayer } from '../../support/remote.ts';
import { OwnTime } from '../../support/own-time.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 10_000, ageMs: 600_000 }] };
/** Longer than two heartbeats of 5 s. */
const LONG = { timeout: 30_000, interval: 50 };

/** Resolves once the cluster keeps what is sent, which after a start or a loss takes an election. */
async function keeps(publish: () => Promise<string>): Promise<void> {
  await persist(async () => {
    if ((await publish()) !== 'ok') throw new Error('not kept yet');
  });
}

describe('cut off from a single server', () => {
  test('found within 5 s, bounded, refused in words; on return one gap, and a room with history has everything (attack 105)', async () => {
    await using network = await Network.start(2);
    await using _nats = await DistantNats.start(network, 1);
    const url = `nats://${network.hosts[0]}:4222`;
    await using there = await RemoteLayer.start((...program) => network.run(1, ...program), url, HISTORY);
    await using here = await openLayer(url, HISTORY);
    const [live, kept] = [await listen(here, 'live'), await listen(here, 'kept.1')];
    for (const room of ['live', 'kept.1']) await there.call('listen', room);
    await network.cut(0, [network.here]);
    using time = new OwnTime();
    const all = await publishUntilAway(here, 'live');
    expect(time.ms).toBeLessThan(5500);
    expect([...new Set(all)].toSorted()).toEqual(['LAYER_AWAY', 'OUTCOME_UNKNOWN']);
    // 64 MiB at most wait for the server.
    expect(all.filter((code) => code === 'OUTCOME_UNKNOWN').length).toBeLessThan(4000);
    for (const room of ['live', 'kept.1']) {
      await expect(here.publish(room, 'x')).rejects.toMatchObject({
        code: 'LAYER_AWAY',
        message: expect.stringMatching(/away since .*: nothing was sent/) as string,
      });
      for (const text of ['1', '2', '3']) expect((await there.call('publish', room, text)).outcome).toBe('ok');
    }
    await network.mend(0);
    await state(here, 'connected');
    for (const room of ['live', 'kept.1']) await here.publish(room, 'after');
    await kept.find((event) => event === 'after');
    await live.find((event) => event === 'after');
    expect(live.all).toEqual(['GAP', 'after']);
    expect(kept.all).toEqual(['1', '2', '3', 'after']);
    await expect.poll(() => there.events('kept.1'), LONG).toEqual(['1', '2', '3', 'after']);
    await expect.poll(() => there.events('live').filter((event) => event !== PAYLOAD), LONG).toEqual(['1', '2', '3', 'after']);
    expect((await there.status()).state).toBe('connected');
  });
});

/** What three nodes are needed for, or an election: under load NATS 2.9 may hold several before one of them succeeds. */
const ELECTED = { timeout: 120_000, interval: 100 };

/** The stream of the rooms, as the node that leads it has it. */
class Leadership implements AsyncDisposable {
  readonly #nats: NatsConnection;
  readonly #stream: string;

  private constructor(nats: NatsConnection, stream: string) {
    this.#nats = nats;
    this.#stream = stream;
  }

  static async of(urls: readonly string[], room: string): Promise<Leadership> {
    const nats = await connect({ servers: [...urls], maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    return new Leadership(nats, await (await nats.jetstreamManager()).streams.find(`busgate.room.${room}`));
  }

  /** Has leaders step down until it is that node. */
  async giveTo(node: string): Promise<void> {
    await expect.poll(() => this.#stepDownUnless(node), { timeout: 120_000, interval: 500 }).toBe(node);
  }

  /** Sequence and payload of its newest messages. */
  async messages(count: number): Promise<string[]> {
    const { streams } = await this.#nats.jetstreamManager();
    const { last_seq: last } = (await streams.info(this.#stream)).state;
    const sequences = Array.from({ length: Math.min(count, last) }, (_, index) => last - index);
    return Promise.all(sequences.map(async (seq) => `${seq} ${(await streams.getMessage(this.#stream, { seq })).string()}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nats.close();
  }

  async #stepDownUnless(node: string): Promise<string | undefined> {
    const manager = await this.#nats.jetstreamManager();
    const leader = (await manager.streams.info(this.#stream).catch(() => undefined))?.cluster?.leader;
    if (leader !== undefined && leader !== node) await this.#nats.request(`$JS.API.STREAM.LEADER.STEPDOWN.${this.#stream}`).catch(() => undefined);
    return leader;
  }
}

/** A cluster of three, a layer at its last two nodes, another one on the first node's host, and a look at the stream of the rooms. */
class Cluster implements AsyncDisposable {
  readonly network: Network;
  readonly many: ChannelLayer;
  readonly few: RemoteLayer;
  readonly leadership: Leadership;
  readonly #owned: AsyncDisposableStack;

  private constructor(owned: AsyncDisposableStack, parts: Pick<Cluster, 'network' | 'many' | 'few' | 'leadership'>) {
    this.#owned = owned;
    this.network = parts.network;
    this.many = parts.many;
    this.few = parts.few;
    this.leadership = parts.leadership;
  }

  static async start(): Promise<Cluster> {
    await using owned = new AsyncDisposableStack();
    const network = owned.use(await Network.start(3));
    owned.use(await DistantNats.start(network, 3));
    const [first = '', ...rest] = network.hosts.map((host) => `nats://${host}:4222`);
    // A cluster that is not whole yet would keep fewer copies.
    const many = owned.use(await openLayer(`${rest.join(',')}?replicas=3`, HISTORY));
    await keeps(() => outcome(many.publish('kept.0', 'elected')));
    const few = owned.use(await RemoteLayer.start((...program) => network.run(0, ...program), `${first}?replicas=3`, HISTORY));
    const leadership = owned.use(await Leadership.of(rest, 'kept.1'));
    return new Cluster(owned.move(), { network, many, few, leadership });
  }

  /** Nothing passes between the first node and the others, and this process. */
  async cut(): Promise<void> {
    const { hosts, here } = this.network;
    await this.network.cut(0, [...hosts.slice(1), here]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** What a client that comes back with a position gets. */
async function resume(layer: ChannelLayer, room: string, since: string): Promise<string[]> {
  const got: string[] = [];
  const subscription = await layer.subscribe(room, (event) => got.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()), { since });
  await subscription.close();
  return got;
}

describe('a node cut off from the two others of its cluster', () => {
  test.each([
    ['it led the stream', 'n0'],
    ['another led the stream', 'n1'],
  ])(
    '%s: both sides live on; kept is what the majority takes, the rest is refused in words; on return it is told as a partition and repaired',
    async (_, node) => {
      await using cluster = await Cluster.start();
      const { network, many, few, leadership } = cluster;
      const [live, kept] = [await listen(many, 'live'), await listen(many, 'kept.1')];
      for (const room of ['live', 'kept.1']) expect((await few.call('listen', room)).outcome).toBe('ok');
      await leadership.giveTo(node);
      await keeps(async () => (await few.call('publish', 'kept.1', 'before')).outcome);
      await expect.poll(() => kept.all.length, ELECTED).toBeGreaterThan(0);
      await expect.poll(() => few.events('kept.1'), ELECTED).toEqual(kept.all);
      const { position: early = '' } = await many.subscribe('kept.1', () => undefined);
      const seen = kept.all.length;
      // Each has heard the other.
      await expect.poll(async () => [many.stats.peers, (await few.stats()).peers], LONG).toEqual([1, 1]);

      await cluster.cut();
      // Told for no longer than the lease: an election may take as long.
      const silent = expect.poll(async () => [many.stats.silentPeers, (await few.stats()).silentPeers], LONG).toEqual([1, 1]);
      const majority = keeps(() => outcome(many.publish('kept.1', 'majority')));
      const { outcome: refused, value: words } = await few.call('publish', 'kept.1', 'minority');
      expect(['LAYER_AWAY', 'OUTCOME_UNKNOWN']).toContain(refused);
      expect(words).toMatch(/JetStream could not|has not answered/);
      // Live rooms go on among those that can reach each other.
      expect((await few.call('publish', 'live', 'of few')).outcome).toBe('ok');
      await many.publish('live', 'of many');
      expect(await live.next()).toBe('of many');
      expect(few.events('live')).toEqual(['of few']);
      await Promise.all([silent, majority]);

      await network.mend(0);
      await expect.poll(async () => [many.status.partitioned, (await few.status()).partitioned], ELECTED).toEqual([true, true]);
      // Also where nothing follows.
      await expect.poll(() => few.events('kept.1'), ELECTED).toContain('majority');
      await expect.poll(() => few.events('kept.1'), ELECTED).toEqual(kept.all);
      // From whichever node: the one that was cut off may have kept something else (2.9), which no reader is given.
      for (let round = 0; round < 10; round += 1) expect(await persist(() => resume(many, 'kept.1', early))).toEqual(kept.all.slice(seen));

      await keeps(async () => (await few.call('publish', 'kept.1', 'after')).outcome);
      await expect.poll(() => kept.all, ELECTED).toContain('after');
      await expect.poll(() => few.events('kept.1'), ELECTED).toEqual(kept.all);
      for (const events of [kept.all, few.events('kept.1')]) expect(events).not.toContain('GAP');
      // Without an answer it may have been taken in the end, once.
      expect(kept.all.filter((event) => event === 'minority').length).toBeLessThanOrEqual(refused === 'OUTCOME_UNKNOWN' ? 1 : 0);
      await many.publish('live', 'after');
      await live.find((event) => event === 'after');
      await expect.poll(() => few.events('live').at(-1), LONG).toBe('after');
      expect(live.all).toEqual(['of many', 'GAP', 'after']);
      expect(few.events('live')).toEqual(['of few', 'GAP', 'after']);
      expect([many.status.state, (await few.status()).state]).toEqual(['connected', 'connected']);
    },
  );

  test('what it alone was sent is no history: where it leads the stream again with that, each process is told one gap', async () => {
    await using cluster = await Cluster.start();
    const { network, many, few, leadership } = cluster;
    const kept = await listen(many, 'kept.1');
    expect((await few.call('listen', 'kept.1')).outcome).toBe('ok');
    await leadership.giveTo('n0');
    await keeps(async () => (await few.call('publish', 'kept.1', 'before')).outcome);
    await cluster.cut();
    await Promise.all([keeps(() => outcome(many.publish('kept.1', 'majority'))), few.call('publish', 'kept.1', 'minority')]);
    await network.mend(0);
    // The processes have not heard each other's heartbeats: it is found by whom the stream is led.
    await expect.poll(() => few.events('kept.1'), ELECTED).toContain('majority');
    await expect.poll(() => few.events('kept.1'), ELECTED).toEqual(kept.all);
    expect(kept.all).not.toContain('GAP');
    const [there] = await persist(() => leadership.messages(1));
    await leadership.giveTo('n0');
    // NATS 2.9 keeps what was never acknowledged in the place of what the others took; newer servers have all the same.
    const same = there === (await persist(() => leadership.messages(1)))[0];
    const gaps = same ? 0 : 1;
    for (const events of [() => kept.all, () => few.events('kept.1')])
      await expect.poll(() => events().filter((event) => event === 'GAP').length, ELECTED).toBe(gaps);
    await keeps(() => outcome(many.publish('kept.1', 'after')));
    for (const events of [() => kept.all, () => few.events('kept.1')]) await expect.poll(events, ELECTED).toContain('after');
    expect(few.events('kept.1')).toEqual(kept.all);
    expect(kept.all.filter((event) => event === 'GAP').length).toBe(gaps);
  });
});
