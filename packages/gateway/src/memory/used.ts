import { Buffer } from 'node:buffer';
import { existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the system, read whole. Throws where it is not there. */
export type ReadFile = (path: string) => string;

const ROOT = '/sys/fs/cgroup';
/** In `memory.stat`: what the kernel takes back before it kills anybody. */
const RECLAIMABLE = {
  v1: /^total_(?:in)?active_file (\d+)$/gm,
  v2: /^(?:(?:in)?active_file|slab_reclaimable) (\d+)$/gm,
} as const;

/** Where a cgroup tells what it holds. */
interface Cgroup {
  readonly usage: string;
  readonly stat: string;
  readonly reclaimable: RegExp;
}

/** What the cgroup of this process holds and the kernel cannot take back, in bytes: its other processes, and what the kernel keeps for their sockets, included. Undefined where that cannot be read. */
export function memoryOfGroup(read: ReadFile = readText, exists: (path: string) => boolean = existsSync): (() => number) | undefined {
  try {
    const { usage, stat, reclaimable } = groupOf(read('/proc/self/cgroup'), exists);
    const used = (): number => Number(read(usage)) - sumOf(read(stat), reclaimable);
    return Number.isFinite(used()) ? used : undefined;
  } catch {
    return undefined;
  }
}

/** What this process holds and the kernel cannot take back, in bytes. Programs and libraries, which are files, are not in it where the system tells them apart. */
export function memoryOfProcess(read: ReadFile = readText): number {
  try {
    const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(read('/proc/self/status')) ?? [];
    if (kib !== undefined) return Number(kib) * 1024;
  } catch {
    // Not Linux.
  }
  return process.memoryUsage.rss();
}

/** In a container without a namespace of its own for cgroups the path is the host's, and its own group stands at the root. */
function groupOf(groups: string, exists: (path: string) => boolean): Cgroup {
  const first = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1];
  const path = first ?? /^0::(.*)$/m.exec(groups)?.[1] ?? '';
  const root = first === undefined ? ROOT : join(ROOT, 'memory');
  const usage = first === undefined ? 'memory.current' : 'memory.usage_in_bytes';
  const own = join(root, path);
  const directory = exists(join(own, usage)) ? own : root;
  return { usage: join(directory, usage), stat: join(directory, 'memory.stat'), reclaimable: RECLAIMABLE[first === undefined ? 'v2' : 'v1'] };
}

function sumOf(stat: string, names: RegExp): number {
  let sum = 0;
  for (const [, bytes] of stat.matchAll(names)) sum += Number(bytes);
  return sum;
}

const opened = new Map<string, number>();
const page = Buffer.allocUnsafe(4096);

/** Each file is opened once and stays so: without a descriptor left it could not be opened again, and that is when much is under way. */
function readText(path: string): string {
  const file = opened.get(path) ?? openSync(path, 'r');
  opened.set(path, file);
  let text = '';
  for (let at = 0, bytes = 1; bytes > 0; at += bytes) {
    bytes = readSync(file, page, 0, page.length, at);
    text += page.toString('utf8', 0, bytes);
  }
  return text;
}
