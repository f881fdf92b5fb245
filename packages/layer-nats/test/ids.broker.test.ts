import { openLayer } from '@busgate/layer';
import { connect, nanos } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { state } from './support/rooms.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 2, ageMs: 60_000 }] } as const;

describe('an id of a publish', () => {
  test('is remembered where its message was trimmed since', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const first = await layer.publish('kept.a', 'first', { id: 'key' });
    for (let n = 0; n < 10; n += 1) await layer.publish('kept.a', `${n}`);
    expect(await layer.publish('kept.a', 'again', { id: 'key' })).toEqual(first);
  });

  test('is remembered over the death of the server', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const first = await layer.publish('kept.a', 'first', { id: 'key' });
    await nats.kill();
    await state(layer, 'away');
    await nats.start();
    await state(layer, 'connected');
    expect(await layer.publish('kept.a', 'again', { id: 'key' })).toEqual(first);
  });

  test('is forgotten with all that a prefix has, by every process, and remembered again from then on', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    await using other = await openLayer(nats.url, HISTORY);
    let before = await layer.publish('kept.a', 'first', { id: 'key' });
    for (let round = 0; round < 2; round += 1) {
      await layer.flush();
      const after = await other.publish('kept.a', 'after', { id: 'key' });
      expect(after).not.toEqual(before);
      expect(await layer.publish('kept.a', 'again', { id: 'key' })).toEqual(after);
      expect((await layer.history('kept.a', undefined, { last: 10 })).messages).toHaveLength(1);
      before = after;
    }
  });

  test('is remembered for five minutes, also by a stream that was made to remember ids for less', async () => {
    await using nats = await startNats();
    await using before = await openLayer(nats.url, HISTORY);
    await before.publish('kept.a', 'x');
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const name = await manager.streams.find('busgate.room.kept.a');
    const window = async (): Promise<number> => (await manager.streams.info(name)).config.duplicate_window;
    expect(await window()).toBe(nanos(300_000));
    await manager.streams.update(name, { duplicate_window: nanos(1000) });
    await using after = await openLayer(nats.url, HISTORY);
    await after.publish('kept.a', 'y', { id: 'key' });
    expect(await window()).toBe(nanos(300_000));
    await other.close();
  });
});
