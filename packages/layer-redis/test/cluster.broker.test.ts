import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis, type Broker } from '../../../test/support/brokers.ts';
import { Log } from './log.ts';
import { allow, cli, connects, hasFunctions, listen, state } from './support.ts';

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

/** Two nodes of which the first has all slots but those of `keys`, which the second has. */
async function twoNodes(
  ...keys: string[]
): Promise<AsyncDisposable & { readonly first: Broker; readonly second: Broker; slotOf(key: string): Promise<string> }> {
  const config = ['cluster-enabled yes', 'cluster-require-full-coverage no'];
  const [first, second] = await Promise.all([startRedis({ config }), startRedis({ config })]);
  const slotOf = (key: string): Promise<string> => cli(first, 'CLUSTER', 'KEYSLOT', key);
  const theirs = new Set(await Promise.all(keys.map(slotOf)));
  const ours = Array.from({ length: 16_384 }, (_, slot) => `${slot}`).filter((slot) => !theirs.has(slot));
  await cli(first, 'CLUSTER', 'ADDSLOTS', ...ours);
  if (theirs.size > 0) await cli(second, 'CLUSTER', 'ADDSLOTS', ...theirs);
  // Two nodes that begin with the same epoch would quarrel over a slot.
  await cli(second, 'CLUSTER', 'SET-CONFIG-EPOCH', '2');
  await cli(first, 'CLUSTER', 'MEET', '127.0.0.1', `${second.port}`);
  for (const node of [first, second])
    await expect.poll(() => cli(node, 'CLUSTER', 'INFO')).toMatch(/cluster_state:ok[^]*cluster_slots_assigned:16384[^]*cluster_known_nodes:2/);
  return {
    first,
    second,
    slotOf,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([first, second].map((node) => node[Symbol.asyncDispose]()));
    },
  };
}

describe('a cluster of two nodes', () => {
  test('a slot goes to a node that does not let us in: its name is told, other rooms go on, and it is tried until it does', async () => {
    const log = new Log();
    await using nodes = await twoNodes();
    const { first: from, second: to } = nodes;
    const rights = ['+cluster|slots', '+command|info', '+asking'];
    await allow(from, ...rights);
    await using layer = await openLayer(`redis-cluster://gateway:s%25cret@127.0.0.1:${from.port}`, { logger: log });
    const [moved, kept] = [await listen(layer, 'moved'), await listen(layer, 'kept')];
    const [slot, id] = [await nodes.slotOf('busgate:room:moved'), await cli(to, 'CLUSTER', 'MYID')];
    for (const node of [to, from]) expect(await cli(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', id)).toBe('OK');
    await expect.poll(() => layer.status.reason).toContain(`127.0.0.1:${to.port}: Redis refused: WRONGPASS`);
    await log.has('"kind":"refused"');
    await cli(from, (await hasFunctions(from)) ? 'SPUBLISH' : 'PUBLISH', 'busgate:room:kept', 'x');
    expect(await kept.next()).toBe('x');
    // As soon as it says that it is connected, every room hears.
    const published = Promise.withResolvers<unknown>();
    log.onConnected = () => queueMicrotask(() => published.resolve(layer.publish('moved', 'y')));
    await allow(to, ...rights);
    await published.promise;
    expect(await moved.take(2)).toEqual(['GAP', 'y']);
    await layer.publish('kept', 'z');
    expect(await kept.next()).toBe('z');
  });

  test('a slot that nobody had for a while is with the same node again: its rooms are told a gap, and hear', async () => {
    await using nodes = await twoNodes('busgate:room:lone');
    const { first, second } = nodes;
    await using layer = await openLayer(`redis-cluster://127.0.0.1:${first.port}`);
    const events = await listen(layer, 'lone');
    const slot = await nodes.slotOf('busgate:room:lone');
    for (const node of [second, first]) expect(await cli(node, 'CLUSTER', 'DELSLOTS', slot)).toBe('OK');
    await expect.poll(() => layer.status.reason).toContain('some slots have no primary');
    expect(await cli(second, 'CLUSTER', 'ADDSLOTS', slot)).toBe('OK');
    await connects(layer, 2);
    await layer.publish('lone', 'x');
    expect(await events.take(2)).toEqual(['GAP', 'x']);
  });
});
