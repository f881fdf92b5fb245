import { Buffer } from 'node:buffer';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { connect, type NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { listen } from './support/rooms.ts';

const kept = (size: number): { history: { rooms: string; size: number; ageMs: number }[] } => ({ history: [{ rooms: 'kept.>', size, ageMs: 60_000 }] });

/** Publishes `<name> 1` to `<name> <count>` in writes of 50, as a busy backend would. */
async function flood(other: NatsConnection, room: string, name: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n += 1) {
    other.publish(`busgate.room.${room}`, `${name} ${n}`);
    if (n % 50 === 0) await other.flush();
  }
  await other.flush();
}

/** What a client that comes back with a position is given before it is live. */
async function resume(layer: ChannelLayer, room: string, since: string): Promise<{ recovered: boolean | undefined; got: string[] }> {
  const got: string[] = [];
  const subscription = await layer.subscribe(room, (event) => got.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()), { since });
  await subscription.close();
  return { recovered: subscription.recovered, got };
}

/** Whether it is settled by the end of this turn of the event loop. */
function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), new Promise<false>((resolve) => void setImmediate(() => resolve(false)))]);
}

describe('a busy room with history', () => {
  test('what many plain clients publish at once comes in one order, although the history is too short to read any of it again', async () => {
    await using nats = await startNats();
    await using here = await openLayer(nats.url, kept(1));
    await using there = await openLayer(nats.url, kept(1));
    const [mine, theirs] = [await listen(here, 'kept.1'), await listen(there, 'kept.1')];
    await here.publish('kept.1', 'start');
    for (const events of [mine, theirs]) await events.find((event) => event === 'start');
    const others = await Promise.all(Array.from({ length: 4 }, () => connect({ servers: nats.url })));
    await Promise.all(others.map((other, index) => flood(other, 'kept.1', `${index}`, 2000)));
    await here.publish('kept.1', 'end');
    for (const events of [mine, theirs]) {
      await events.find((event) => event === 'end');
      expect(events.all).toHaveLength(8002);
      expect(events.all).toEqual(mine.all);
      for (const index of others.keys())
        expect(events.all.filter((event) => event.startsWith(`${index} `))).toEqual(Array.from({ length: 2000 }, (_, n) => `${index} ${n + 1}`));
    }
    expect([here.stats.gaps, there.stats.gaps, here.stats.repaired, there.stats.repaired]).toEqual([0, 0, 0, 0]);
    await Promise.all(others.map((other) => other.close()));
  });

  test('whoever comes back while it is trimmed has all that followed, or a gap', async () => {
    await using nats = await startNats();
    const size = 300;
    await using layer = await openLayer(nats.url, kept(size));
    await using reader = await openLayer(nats.url, kept(size));
    // Another room's message stays at the front of the stream for all of the time.
    await layer.publish('kept.first', 'x');
    const positions: string[] = [];
    await layer.subscribe('kept.1', (event) => event.position !== undefined && positions.push(event.position));
    await layer.publish('kept.1', 'flood 0');
    const other = await connect({ servers: nats.url });
    const over = flood(other, 'kept.1', 'flood', 40_000);
    const comeBack = async (behind: number, to = reader): Promise<boolean> => {
      const at = Math.max(0, positions.length - 1 - behind);
      const { recovered, got } = await resume(to, 'kept.1', positions[at] as string);
      if (recovered === true) expect(got).toEqual(got.map((_, index) => `flood ${at + 1 + index}`));
      return recovered === true;
    };
    for (let round = 0; !(await isSettled(over)); round += 1) await comeBack(50 * (round % 4));
    await layer.publish('kept.1', 'flood 40001');
    await expect.poll(() => positions.length).toBe(40_002);
    // The reader holds the room, may stand a message behind, and keeps as many itself.
    await using late = await openLayer(nats.url, kept(size));
    expect([await comeBack(300), await comeBack(300, late), await comeBack(301, late)]).toEqual([true, true, false]);
    await other.close();
  });

  test('a rule that keeps more from now on does not make whole what was trimmed before', async () => {
    await using nats = await startNats();
    const positions: string[] = [];
    {
      await using before = await openLayer(nats.url, kept(3));
      await before.publish('kept.first', 'x');
      for (let n = 0; n < 10; n += 1) positions.push((await before.publish('kept.1', `${n}`)).position as string);
    }
    await using after = await openLayer(nats.url, kept(100));
    expect(await resume(after, 'kept.1', positions[2] as string)).toEqual({ recovered: false, got: ['GAP'] });
    expect(await resume(after, 'kept.1', positions[7] as string)).toEqual({ recovered: true, got: ['8', '9'] });
    const { position } = await after.subscribe('kept.2', () => undefined);
    await after.publish('kept.2', 'a');
    expect(await resume(after, 'kept.2', position as string)).toEqual({ recovered: true, got: ['a'] });
  });
});
