import { openLayer } from '@busgate/layer';

/** What is kept of each room, in the layer's own words and in the gateway's settings. */
export const HISTORY = [{ rooms: 'kept.>', size: 100, age: '10m' }];
const RULES = [{ rooms: 'kept.>', size: 100, ageMs: 600_000 }];

export function roomOf(index: number): string {
  return `kept.${index}`;
}

/** What only the last of the missed messages holds. */
export function lastOf(missed: number): string {
  return `"n":${missed - 1},`;
}

/** Publishes one message to each room, whose position it resolves with, and then those that are missed. */
export async function publishMissed(url: string, rooms: number, missed: number): Promise<string[]> {
  await using layer = await openLayer(url, { history: RULES });
  const text = 'x'.repeat(100);
  return await Promise.all(
    Array.from({ length: rooms }, async (_, index) => {
      const room = roomOf(index);
      const { position = '' } = await layer.publish(room, '"before"');
      for (let n = 0; n < missed; n += 1) await layer.publish(room, JSON.stringify({ n, text }));
      return position;
    }),
  );
}
