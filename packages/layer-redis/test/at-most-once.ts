import { fileURLToPath } from 'node:url';
import { openLayer } from '@busgate/layer';
import { expect } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { READ_AHEAD } from '../src/queue-form.ts';
import { cli } from './support.ts';

const READER = fileURLToPath(new URL('reader.ts', import.meta.url));
const BATCH = 100;

/**
 * Three processes read one queue, and every `killEvery` messages one of them is killed and another takes its place: no message is seen twice, each
 * reader sees its own in order, and a killed reader takes with it at most what one round trip had given it, none older than the last that it had seen.
 */
export async function expectAtMostOnce({ total, killEvery }: { total: number; killEvery: number }): Promise<void> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await using layer = await openLayer(redis.url, { capacity: total });
  const readers: Child[] = [];
  const start = (): number => readers.push(new Child(process.execPath, ['--conditions=@busgate/source', READER, redis.url]));
  try {
    for (let count = 0; count < 3; count += 1) start();
    for (let n = 0; n < total; n += BATCH) {
      await Promise.all(Array.from({ length: BATCH }, (_, index) => layer.send('jobs', { n: n + index })));
      if (n % killEvery !== killEvery / 2) continue;
      await (await anyThatReads(readers.filter((child) => child.alive))).kill();
      start();
    }
    const living = readers.filter((child) => child.alive);
    await expect.poll(() => cli(redis, 'LLEN', 'busgate:queue:jobs'), { timeout: 120_000, interval: 50 }).toBe('0');
    for (const _ of living) await layer.send('jobs', { n: -1 });
    for (const child of living) await child.exited;
    const seen = readers.map((child) => child.output.all.map(Number));
    const all = new Set(seen.flat());
    expect(all.size).toBe(seen.flat().length);
    for (const each of seen) expect(each).toEqual(each.toSorted((a, b) => a - b));
    const killed = seen.filter((_, index) => !living.includes(readers[index] as Child)).map((each) => each.at(-1) as number);
    const lost = Array.from({ length: total }, (_, n) => n).filter((n) => !all.has(n));
    expect(lost.length).toBeLessThanOrEqual(killed.length * (1 + READ_AHEAD));
    for (const n of lost) expect(killed.some((last) => n > last && n <= last + 3 * (1 + READ_AHEAD))).toBe(true);
  } finally {
    for (const child of readers) await child[Symbol.asyncDispose]();
  }
}

/** The first of them that has had a message: one that began late may find none left. */
function anyThatReads(readers: readonly Child[]): Promise<Child> {
  return Promise.any(readers.map((child) => child.output.until((lines) => lines.length > 0, 'a first message of a reader').then(() => child)));
}
