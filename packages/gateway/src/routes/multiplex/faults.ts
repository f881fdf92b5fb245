import type { FrameErrorKey } from '../../errors.ts';

const MINUTE_MS = 60_000;
/** No fault of the client's. */
const NOT_COUNTED: ReadonlySet<FrameErrorKey> = new Set(['away', 'unknown', 'full']);

/** How many errors a client was told in a minute. */
export class Faults {
  #since = -Infinity;
  #count = 0;

  /** Counts one more, at `now` in milliseconds; true when it is the one too many. What is no fault of the client's is not counted. */
  add(code: FrameErrorKey, now: number, limit: number): boolean {
    if (NOT_COUNTED.has(code)) return false;
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count >= limit;
  }
}
