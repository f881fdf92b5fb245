import { Buffer } from 'node:buffer';
import { openLayer, type ChannelLayer, type HistoryReading } from '@busgate/layer';
import { connect } from 'nats';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] } as const;
const MISSED = 20;
/** Two for where the room stands, when it is subscribed and when it is read, and one for whether anything was let go of meanwhile; the others are of the first few. */
const REQUESTS_A_ROOM = 8;

test('rooms that are come back to at once cost the server a few requests each, however many messages each has missed', async () => {
  await using nats = await startNats();
  await using before = await openLayer(nats.url, HISTORY);
  await using after = await openLayer(nats.url, HISTORY);
  const rooms = Array.from({ length: 150 }, (_, index) => `kept.${index}`);
  const positions = await publishAll(before, rooms);
  await using requests = await countRequests(nats.url);
  const readings = await Promise.all(
    rooms.map(async (room, index) => {
      await after.subscribe(room, () => undefined);
      return after.history(room, positions[index]);
    }),
  );
  expect(await requests.sent()).toBeLessThan(REQUESTS_A_ROOM * rooms.length);
  for (const [index, reading] of readings.entries()) expect([textsOf(reading), reading.recovered]).toEqual([missedBy(rooms[index] as string), true]);
});

test('a room that wants what is old, and one of which there is much, hold up none of those that want little', async () => {
  await using nats = await startNats();
  await using before = await openLayer(nats.url, HISTORY);
  await using after = await openLayer(nats.url, HISTORY);
  const [old = ''] = await publishAll(before, ['kept.old']);
  const much = await before.publish('kept.much', 'first');
  await publishPlainly(nats.url, 10_000);
  const texts = Array.from({ length: 99 }, (_, n) => `${n}`);
  await Promise.all(texts.map((text) => before.publish('kept.much', text)));
  const rooms = Array.from({ length: 48 }, (_, index) => `kept.${index}`);
  const positions = await publishAll(before, rooms);
  const readings = rooms.map((room, index) => after.history(room, positions[index]));
  const [ofOld, ofMuch] = await Promise.all([after.history('kept.old', old), after.history('kept.much', much.position)]);
  for (const [index, reading] of (await Promise.all(readings)).entries()) expect(textsOf(reading)).toEqual(missedBy(rooms[index] as string));
  expect([textsOf(ofOld), ofOld.recovered]).toEqual([missedBy('kept.old'), true]);
  expect([textsOf(ofMuch), ofMuch.recovered]).toEqual([texts, true]);
});

/** Messages of other rooms, so many that it does not pay to read all of them for a few. */
async function publishPlainly(url: string, count: number): Promise<void> {
  const plain = await connect({ servers: url });
  for (let n = 1; n < count; n += 1) plain.publish(`busgate.room.kept.others.${n % 200}`);
  await plain.jetstream().publish('busgate.room.kept.others.0');
  await plain.close();
}

/** To each room one that was seen, whose position it resolves with, and those that are missed. */
async function publishAll(layer: ChannelLayer, rooms: readonly string[]): Promise<string[]> {
  const seen = await Promise.all(rooms.map((room) => layer.publish(room, 'seen')));
  for (let n = 0; n < MISSED; n += 1) await Promise.all(rooms.map((room) => layer.publish(room, missedBy(room)[n] as string)));
  return seen.map(({ position = '' }) => position);
}

function missedBy(room: string): string[] {
  return Array.from({ length: MISSED }, (_, n) => `${room} ${n}`);
}

function textsOf({ messages }: HistoryReading): string[] {
  return messages.map(({ payload }) => Buffer.from(payload).toString());
}

/** Who hears what is asked of JetStream, and counts it. */
async function countRequests(url: string): Promise<AsyncDisposable & { sent(): Promise<number> }> {
  const admin = await connect({ servers: url });
  let count = 0;
  admin.subscribe('$JS.API.>', { callback: () => void (count += 1) });
  await admin.flush();
  return {
    sent: async () => {
      await admin.flush();
      return count;
    },
    [Symbol.asyncDispose]: () => admin.close(),
  };
}
