import { getHeapStatistics } from 'node:v8';
import type { Config } from '../config.ts';
import { garbageCollector } from './garbage.ts';
import { allowedMemory, hasOwnLimit, memoryLimit } from './limit.ts';
import { Memory, type MemorySources } from './memory.ts';
import { memoryOfGroup, memoryOfProcess } from './used.ts';

/** The memory of this process, as the system tells it: of its cgroup where that has a limit. */
export function watchedMemory({ limits, workers }: Config, sources: Pick<MemorySources, 'holders' | 'now' | 'onFull' | 'log'>): Memory {
  const used = (hasOwnLimit() ? memoryOfGroup() : undefined) ?? memoryOfProcess;
  return new Memory({
    ...sources,
    limit: allowedMemory(limits.memory, workers),
    whole: memoryLimit(),
    used,
    needed: memoryNeeded,
    collect: garbageCollector(),
  });
}

function memoryNeeded(): number {
  const { used_heap_size: objects, external_memory: buffers } = getHeapStatistics();
  return objects + buffers;
}
