import { openLayer, type ChannelLayer } from '@busgate/layer';
import { parsePosition, type Position } from '@busgate/layer/driver';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';

let nats: Broker;
let other: NatsConnection;
let manager: JetStreamManager;

beforeEach(async () => {
  nats = await startNats();
  other = await connect({ servers: nats.url });
  manager = await other.jetstreamManager();
});

afterEach(async () => {
  await other.close();
  await nats[Symbol.asyncDispose]();
});

/** Calls again and again without waiting, twice a turn, until the stream was removed and made anew and some more were made; tells the numbers that were accepted. */
async function callWhileRemoved(stream: string, call: (n: number) => Promise<unknown>): Promise<number[]> {
  const calls: Promise<unknown>[] = [];
  let left = 30;
  let removed: Promise<unknown> | undefined;
  let isThere = false;
  while (left > 0) {
    calls.push(call(calls.length));
    if (calls.length === 20) removed = manager.streams.delete(stream).then(() => (isThere = true));
    if (calls.length % 2 === 0) await new Promise(setImmediate);
    if (isThere) left -= 1;
  }
  await removed;
  const outcomes = await Promise.allSettled(calls);
  return outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
}

async function readAll(layer: ChannelLayer, queue: string): Promise<number[]> {
  const got: number[] = [];
  await layer.send(queue, { n: -1 });
  for (;;) {
    const n = (await layer.receive(queue))['n'] as number;
    if (n === -1) return got;
    got.push(n);
  }
}

describe('a stream that is removed while calls that nobody awaits are made', () => {
  test('a queue: what was accepted and not removed arrives in the order of the calls', async () => {
    await using layer = await openLayer(nats.url, { capacity: 100_000 });
    for (let round = 0; round < 3; round += 1) {
      await layer.send('work', { n: 0 });
      await layer.receive('work');
      const accepted = await callWhileRemoved('BUSGATE_QUEUE', (n) => layer.send('work', { n }));
      const got = await readAll(layer, 'work');
      expect(got.at(-1)).toBe(accepted.at(-1));
      expect(got).toEqual(accepted.slice(-got.length));
    }
  });

  test('a history: positions of each epoch are in the order of the calls', async () => {
    await using layer = await openLayer(nats.url, { history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    for (let round = 0; round < 3; round += 1) {
      await layer.publish('kept', 'before');
      const positions: (Position | undefined)[] = [];
      const publish = async (n: number): Promise<void> => {
        positions[n] = parsePosition((await layer.publish('kept', `${n}`)).position);
      };
      const accepted = await callWhileRemoved(await manager.streams.find('busgate.room.kept'), publish);
      const inOrder = Map.groupBy(
        accepted.map((n) => positions[n]),
        (position) => position?.epoch,
      );
      for (const list of inOrder.values()) expect(list).toEqual(list.toSorted((a, b) => (a?.offset ?? 0) - (b?.offset ?? 0)));
    }
  });
});
