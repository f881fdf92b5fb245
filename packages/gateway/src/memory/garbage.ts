import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A larger heap is left to V8: to look through it holds up everybody for too long, and of a large limit what it leaves lying about is little. */
const MAX_HEAP = 512 * 1024 * 1024;

/** `minor`: only what is young, in a millisecond or two. */
export type Collection = 'minor' | 'major';
type Collect = (options: { readonly type: Collection; readonly flavor?: 'last-resort' }) => void;

/**
 * Collects what nobody needs any more, buffers included. V8 does so by itself when it has grown enough, which may be beyond what a small container has. Returns when it is done.
 */
export function garbageCollector(): (type: Collection) => void {
  let collect: Collect | undefined;
  return (type) => {
    if (type === 'major' && getHeapStatistics().total_heap_size > MAX_HEAP) return;
    collect ??= exposed();
    collect(type === 'minor' ? { type } : { type, flavor: 'last-resort' });
  };
}

function exposed(): Collect {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as Collect;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
