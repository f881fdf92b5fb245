import { openLayer, type ChannelLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { listen, state } from '../../../packages/layer-nats/test/support/rooms.ts';
import { DistantNats, Network } from '../../support/namespaces.ts';
import { outcome, PAYLOAD, persist, publishUntilAway } from '../../support/outcomes.ts';
import { RemoteLayer } from '../../support/remote.ts';

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
  test('found within 5 s, bounded, refused in words; on return one gap, and a room with history has everything', async () => {
    await using network = await Network.start(2);
    await using _nats = await DistantNats.start(network, 1);
    const url = `nats://${network.hosts[0]}:4222`;
    await using there = await RemoteLayer.start((...program) => network.run(1, ...program), url, HISTORY);
    await using here = await openLayer(url, HISTORY);
    const [live, kept] = [await listen(here, 'live'), await listen(here, 'kept.1')];
    for (const room of ['live', 'kept.1']) await there.call('listen', room);
    await network.cut(0, [network.here]);
    const since = performance.now();
    const all = await publishUntilAway(here, 'live');
    expect(performance.now() - since).toBeLessThan(5500);
    expect([...new Set(all)].toSorted()).toEqual(['LAYER_AWAY', 'OUTCOME_UNKNOWN']);
    // 64 MiB at most wait for the server.
    expect(all.filter((code) => code === 'OUTCOME_UNKNOWN').length).toBeLessThan(4000);
    for (const room of ['live', 'kept.1']) {
      await expect(here.publish(room, 'x')).rejects.toMatchObject({ code: 'LAYER_AWAY', message: /away since .*: nothing was sent/ });
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

describe('a node cut off from the two others of its cluster', () => {
  test('both sides live on; kept is what the majority takes, the rest is refused in words; on return it is told as a partition and repaired', async () => {
    await using network = await Network.start(3);
    await using _nats = await DistantNats.start(network, 3);
    const urls = network.hosts.map((host) => `nats://${host}:4222`);
    await using many: ChannelLayer = await openLayer(urls.slice(1).join(','), HISTORY);
    await keeps(() => outcome(many.publish('kept.0', 'elected')));
    await using few = await RemoteLayer.start((...program) => network.run(0, ...program), urls[0] as string, HISTORY);
    const [live, kept] = [await listen(many, 'live'), await listen(many, 'kept.1')];
    for (const room of ['live', 'kept.1']) expect((await few.call('listen', room)).outcome).toBe('ok');
    await keeps(async () => (await few.call('publish', 'kept.1', 'before')).outcome);
    await expect.poll(() => kept.all.length, LONG).toBeGreaterThan(0);
    await expect.poll(() => few.events('kept.1'), LONG).toEqual(kept.all);
    // Each has heard the other.
    await expect.poll(async () => [many.stats.peers, (await few.stats()).peers], LONG).toEqual([1, 1]);

    await network.cut(0, [...network.hosts.slice(1), network.here]);
    await keeps(() => outcome(many.publish('kept.1', 'majority')));
    const { outcome: refused, value: words } = await few.call('publish', 'kept.1', 'minority');
    expect(['LAYER_AWAY', 'OUTCOME_UNKNOWN']).toContain(refused);
    expect(words).toMatch(/JetStream could not|has not answered/);
    // Live rooms go on among those that can reach each other.
    expect((await few.call('publish', 'live', 'of few')).outcome).toBe('ok');
    await many.publish('live', 'of many');
    expect(await live.next()).toBe('of many');
    expect(few.events('live')).toEqual(['of few']);
    await expect.poll(async () => [many.stats.silentPeers, (await few.stats()).silentPeers], LONG).toEqual([1, 1]);

    await network.mend(0);
    await expect.poll(async () => [many.status.partitioned, (await few.status()).partitioned], LONG).toEqual([true, true]);
    // Also where nothing follows.
    await expect.poll(() => few.events('kept.1'), LONG).toContain('majority');
    await keeps(async () => (await few.call('publish', 'kept.1', 'after')).outcome);
    await kept.find((event) => event === 'after');
    await expect.poll(() => few.events('kept.1'), LONG).toEqual(kept.all);
    for (const events of [kept.all, few.events('kept.1')]) expect(events).not.toContain('GAP');
    // Without an answer it may have been taken in the end, once.
    expect(kept.all.filter((event) => event === 'minority').length).toBeLessThanOrEqual(refused === 'OUTCOME_UNKNOWN' ? 1 : 0);
    await many.publish('live', 'after');
    await live.find((event) => event === 'after');
    await expect.poll(() => few.events('live').at(-1), LONG).toBe('after');
    expect(live.all).toEqual(['of many', 'GAP', 'after']);
    expect(few.events('live')).toEqual(['of few', 'GAP', 'after']);
    expect([many.status.state, (await few.status()).state]).toEqual(['connected', 'connected']);
  });
});
