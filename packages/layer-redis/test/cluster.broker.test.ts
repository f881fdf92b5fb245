import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { cli, hasFunctions, listen, state } from './support.ts';

describe('a cluster of one node', () => {
  test('a node that should have a name and has none is found at its address', async () => {
    const old = await startRedis();
    const named = await hasFunctions(old);
    await old[Symbol.asyncDispose]();
    const config = ['cluster-enabled yes', ...(named ? ['cluster-preferred-endpoint-type hostname'] : [])];
    await using redis = await startRedis({ config });
    await cli(redis, 'CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => `${slot}`));
    await expect.poll(() => cli(redis, 'CLUSTER', 'INFO')).toContain('cluster_state:ok');
    if (named) expect(await cli(redis, 'CLUSTER', 'SLOTS')).toContain('?');
    await using layer = await openLayer(`redis-cluster://localhost:${redis.port}`);
    await state(layer, 'connected');
    const events = await listen(layer, 'r');
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
  });
});
