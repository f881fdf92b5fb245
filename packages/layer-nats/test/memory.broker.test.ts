import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { state } from './support/rooms.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are held after a collection, payloads included. */
async function held(): Promise<number> {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('what is done again and again on one connection', () => {
  test('joins that read a history leave none of it behind', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, { history: [{ rooms: 'kept', size: 100, ageMs: 60_000 }] });
    const { position = '' } = await layer.publish('kept', 'first');
    for (let n = 0; n < 50; n += 1) await layer.publish('kept', 'x'.repeat(50_000));
    const join = async (): Promise<void> => {
      let bytes = 0;
      const subscription = await layer.subscribe('kept', ({ payload }) => (bytes += payload?.length ?? 0), { since: position });
      await subscription.close();
      expect(bytes).toBe(2_500_000);
    };
    for (let n = 0; n < 3; n += 1) await join();
    const before = await held();
    for (let n = 0; n < 20; n += 1) await join();
    expect((await held()) - before).toBeLessThan(10_000_000);
  });

  test('receives that end while the server is away leave nothing behind', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    await nats.kill();
    await state(layer, 'away');
    const repeat = async (rounds: number): Promise<void> => {
      for (let n = 0; n < rounds; n += 1) {
        const stop = new AbortController();
        const received = layer.receive('work', { signal: stop.signal }).catch(() => undefined);
        await new Promise(setImmediate);
        stop.abort();
        await received;
      }
    };
    await repeat(500);
    const before = await held();
    await repeat(20_000);
    expect((await held()) - before).toBeLessThan(1_500_000);
  });
});
