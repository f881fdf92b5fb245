import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { DistantNats, Network } from '../../support/namespaces.ts';
import { RemoteLayer } from '../../support/remote.ts';

/** A process that is silent this long is taken for dead. */
const LEASE = { timeout: 35_000, interval: 100 };

describe('processes that are gone without a word', () => {
  test.each(['killed', 'on a host that nobody reaches any more'])(
    '%s: nobody counts on it longer than the lease, and its members hold nobody up',
    async (how) => {
      await using network = await Network.start(2);
      await using _nats = await DistantNats.start(network, 1);
      const url = `nats://${network.hosts[0]}:4222`;
      await using here = await openLayer(url);
      await using remote = await RemoteLayer.start((...program) => network.run(1, ...program), url);
      const [own, theirs] = [here.newChannel(), (await remote.call('join', 'g')).value as string];
      await here.groupAdd('g', own);
      await expect.poll(() => here.stats.peers, LEASE).toBe(1);
      if (how === 'killed') await remote.kill();
      else await network.cut(0, [network.hosts[1] as string]);
      const since = performance.now();
      await here.groupSend('g', { n: 1 });
      expect(await here.receive(own)).toEqual({ n: 1 });
      // The server itself knows that the one is gone, and of the other only when it finds out.
      await expect(here.groupAdd('g', theirs)).rejects.toMatchObject({
        code: how === 'killed' ? 'CHANNEL_GONE' : expect.stringMatching(/CHANNEL_GONE|TIMEOUT/),
      });
      expect(performance.now() - since).toBeLessThan(6000);
      await expect.poll(() => here.stats.silentPeers, LEASE).toBe(1);
      await expect.poll(() => [here.stats.peers, here.stats.silentPeers], LEASE).toEqual([0, 0]);
      expect(performance.now() - since).toBeLessThan(40_000);
      expect(here.status.partitioned).toBeUndefined();
      await here.groupSend('g', { n: 2 });
      expect(await here.receive(own)).toEqual({ n: 2 });
    },
  );
});
