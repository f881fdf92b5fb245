import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { listen } from '../../../packages/layer-nats/test/support/rooms.ts';
import { NatsCluster } from '../../support/nats-cluster.ts';
import { persist } from '../../support/outcomes.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 1000, ageMs: 600_000 }] };
const PATIENT = { timeout: 60_000, interval: 50 };

/** Publishes until the cluster takes it, which after a start takes an election. */
function publish(layer: ChannelLayer, text: string): Promise<string> {
  return persist(async () => (await layer.publish('kept.1', text)).position as string);
}

const epoch = (position: string): string | undefined => position.split(':')[0];

test('each node of a cluster restarted one after the other is the same epoch; all of them from older files are another', async () => {
  await using cluster = await NatsCluster.start();
  await using layer = await openLayer(cluster.url, HISTORY);
  const first = await publish(layer, 'first');
  const events = await listen(layer, 'kept.1');
  for (const [index, node] of cluster.nodes.entries()) {
    await node.restart();
    expect(epoch(await publish(layer, `restarted ${index}`))).toBe(epoch(first));
    await expect.poll(() => events.all, PATIENT).toContain(`restarted ${index}`);
  }
  expect(events.all).not.toContain('GAP');

  const files = cluster.nodes.map(({ folder }) => [join(folder, 'data'), join(folder, 'older')] as const);
  await Promise.all(cluster.nodes.map((node) => node.stop()));
  for (const [data, older] of files) await cp(data, older, { recursive: true });
  await Promise.all(cluster.nodes.map((node) => node.start()));
  let lost = '';
  for (let n = 0; n < 20; n += 1) lost = await publish(layer, `lost ${n}`);
  expect(epoch(lost)).toBe(epoch(first));
  await expect.poll(() => events.all, PATIENT).toContain('lost 19');
  expect(events.all).not.toContain('GAP');
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  for (const [data, older] of files) {
    await rm(data, { recursive: true });
    await cp(older, data, { recursive: true });
  }
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await expect.poll(() => events.all, PATIENT).toContain('GAP');
  const after = await publish(layer, 'after');
  await expect.poll(() => events.all, PATIENT).toContain('after');
  expect(events.all.slice(events.all.indexOf('GAP'))).toEqual(['GAP', 'after']);
  expect(epoch(after)).not.toBe(epoch(first));
  for (const since of [first, lost]) expect((await layer.subscribe('kept.1', () => undefined, { since })).recovered).toBe(false);
});
