import type { FrameErrorKey } from '../../errors.ts';
import { PerMinute } from '../../limits/per-minute.ts';

/** No fault of the client's. */
const NOT_COUNTED: ReadonlySet<FrameErrorKey> = new Set(['away', 'unknown', 'full']);

/** How many errors a client was told in a minute. */
export class Faults {
  readonly #told = new PerMinute();

  /** Counts one more, at `now` in milliseconds; true when it is the one too many. What is no fault of the client's is not counted. */
  add(code: FrameErrorKey, now: number, limit: number): boolean {
    return !NOT_COUNTED.has(code) && this.#told.add(now, limit);
  }
}
