import { openLayer, type ChannelLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startRedis } from '../../support/brokers.ts';
import { faultsOf } from '../../support/faults.ts';

/** Of those that go together in a script each counts. */
test.each([
  ['messages for a queue', (layer: ChannelLayer) => layer.send('work', {})],
  ['messages of a history', (layer: ChannelLayer) => layer.publish('kept', '')],
])('%s that wait for a server that is stopped are bounded, however many go in one command', async (_, call) => {
  await using redis = await startRedis();
  await using layer = await openLayer(redis.url, { capacity: 100_000, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
  await call(layer);
  redis.pause();
  const refused: unknown[] = [];
  const calls = Array.from({ length: 70_000 }, () => call(layer).catch((error: unknown) => refused.push(error)));
  await new Promise(setImmediate);
  expect(refused.length).toBeGreaterThan(4000);
  expect(refused.length).toBeLessThan(10_000);
  for (const error of refused.splice(0)) expect(error).toMatchObject({ code: 'LAYER_AWAY', fault: 'overloaded' });
  expect(faultsOf(layer).overloaded).toBeGreaterThan(0);
  redis.resume();
  await Promise.all(calls);
  await expect.poll(() => layer.status.state).toBe('connected');
  await call(layer);
});
