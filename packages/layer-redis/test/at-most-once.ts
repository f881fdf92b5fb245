import { fileURLToPath } from 'node:url';
import { openLayer } from '@busgate/layer';
import { expect } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { READ_AHEAD } from '../src/queue-form.ts';
import { cli } from './support.ts';

/** The program that reads: `reader.ts`. */
export const READER = fileURLToPath(new URL('reader.ts', import.meta.url));
const BATCH = 100;

/**
 * Three processes read one queue, and every `killEvery` messages the oldest of them is killed and another takes its place: no message is seen twice, each
 * reader sees its own in order, and a killed reader takes with it at most what one round trip had given it, none older than the last that it had seen.
 */
export async function expectAtMostOnce({ total, killEvery }: { total: number; killEvery: number }): Promise<void> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await using layer = await openLayer(redis.url, { capacity: 2 * total });
  const readers: Child[] = [];
  let sent = 0;
  const start = async (): Promise<void> => {
    const reader = new Child(process.execPath, ['--conditions=@busgate/source', READER, redis.url]);
    readers.push(reader);
    await reader.lines.until((lines) => lines.includes('reading'), 'a reader');
  };
  const send = async (): Promise<void> => {
    await Promise.all(Array.from({ length: BATCH }, (_, index) => layer.send('jobs', { n: sent + index })));
    sent += BATCH;
  };
  try {
    await Promise.all([start(), start(), start()]);
    for (let killAt = killEvery / 2; sent < total;) {
      await send();
      if (sent < killAt) continue;
      killAt += killEvery;
      const victim = readers.at(-3) as Child;
      while (victim.lines.all.length < 2) await send();
      await victim.kill();
      await start();
    }
    const living = readers.filter((child) => child.alive);
    await expect.poll(() => cli(redis, 'LLEN', 'busgate:queue:jobs'), { timeout: 120_000, interval: 50 }).toBe('0');
    for (const _ of living) await layer.send('jobs', { n: -1 });
    for (const child of living) expect(await child.exited).toEqual({ code: 0, signal: null });
    const seen = readers.map((child) => child.output.all.filter((line) => line !== 'reading').map(Number));
    const all = new Set(seen.flat());
    expect(all.size).toBe(seen.flat().length);
    for (const each of seen) expect(each).toEqual(each.toSorted((a, b) => a - b));
    const killed = seen.filter((_, index) => !living.includes(readers[index] as Child)).map((each) => each.at(-1) as number);
    expect(killed.length).toBeGreaterThanOrEqual(Math.floor(total / killEvery));
    const lost = Array.from({ length: sent }, (_, n) => n).filter((n) => !all.has(n));
    expect(lost.length).toBeLessThanOrEqual(killed.length * (1 + READ_AHEAD.most));
    expect(lost.filter((n) => !killed.some((last) => n > last))).toEqual([]);
  } finally {
    for (const child of readers) await child[Symbol.asyncDispose]();
  }
}
