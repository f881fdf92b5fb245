import type { Buffer } from 'node:buffer';
import type { Keys } from './keys.ts';
import type { Runner } from './scripts.ts';

/** Keys looked at in one step of the server. */
const COUNT = 1000;

/** The keys of one server that fit a pattern, some at a time; one may come twice. */
export async function* scanKeys(runner: Runner, pattern: string): AsyncGenerator<readonly string[], void> {
  let cursor = '0';
  do {
    const [next, found] = (await runner.run('scan', cursor, 'MATCH', pattern, 'COUNT', COUNT)) as [Buffer, Buffer[]];
    cursor = next.toString();
    yield found.map(String);
  } while (cursor !== '0');
}

/** Removes every key of the prefix from one server. */
export async function flushKeys(runner: Runner, keys: Pick<Keys, 'pattern' | 'owns'>): Promise<void> {
  for await (const found of scanKeys(runner, keys.pattern)) {
    // Key by key: those of one command would have to lie in one slot of a cluster.
    await Promise.all(found.filter((key) => keys.owns(key)).map((key) => runner.run('unlink', key)));
  }
}
