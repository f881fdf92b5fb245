import type { Buffer } from 'node:buffer';
import type { Keys } from './keys.ts';
import type { Runner } from './scripts.ts';

/** Keys looked at in one step of the server. */
const COUNT = 1000;

/** Removes every key of the prefix from one server. */
export async function flushKeys(runner: Runner, keys: Pick<Keys, 'pattern' | 'owns'>): Promise<void> {
  let cursor = '0';
  do {
    const [next, found] = (await runner.run('scan', cursor, 'MATCH', keys.pattern, 'COUNT', COUNT)) as [Buffer, Buffer[]];
    cursor = next.toString();
    // Key by key: those of one command would have to lie in one slot of a cluster.
    await Promise.all(
      found
        .map(String)
        .filter((key) => keys.owns(key))
        .map((key) => runner.run('unlink', key)),
    );
  } while (cursor !== '0');
}
