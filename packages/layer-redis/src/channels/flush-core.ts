import type { Buffer } from 'node:buffer';
import { scanKeys } from '../flush.ts';
import { SCRIPTS, type Runner } from '../scripts.ts';
import type { ChannelsNames } from './names.ts';

/**
 * Removes what the core layer has on one host. Django's own keys have no separator after the prefix: only what is certainly of this prefix goes. That
 * are groups, what waits for processes, and the worker queues that gateways wrote to.
 */
export async function flushCore(runner: Runner, names: ChannelsNames): Promise<void> {
  const { prefix, knownQueues } = names;
  const queues = (await runner.run('zrange', knownQueues, 0, -1)) as Buffer[];
  await Promise.all([...queues.map(String), knownQueues].map((key) => runner.run('unlink', key)));
  const waiting = [`${prefix}specific.`, names.addedTo('')];
  for await (const keys of scanKeys(runner, `${prefix}*`)) {
    const groups = keys.filter((key) => key.startsWith(names.groupKey('')));
    const others = keys.filter((key) => waiting.some((start) => key.startsWith(start)));
    await Promise.all([...groups.map((key) => SCRIPTS.channelsFlushGroup.run(runner, key, prefix)), ...others.map((key) => runner.run('unlink', key))]);
  }
}
