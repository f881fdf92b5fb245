import type { Senses } from './actions.ts';

/** The first and the longest wait, in milliseconds. */
const FIRST_MS = 100;
const LONGEST_MS = 20_000;
/** A connection that lived so long was a good one: what comes after it begins anew. */
const GOOD_MS = 10_000;

/** How long to wait before the next attempt: full jitter over a span that doubles with each failure. */
export class Backoff {
  readonly #senses: Senses;
  #failures = 0;

  constructor(senses: Senses) {
    this.#senses = senses;
  }

  /** Milliseconds; `least` in any case, and spread over `spread` at least. */
  next(least = FIRST_MS, spread = 0): number {
    const span = Math.min(LONGEST_MS - FIRST_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return least + this.#senses.random() * Math.max(spread, span);
  }

  /** A connection ended that had stood for so many milliseconds. */
  lived(ms: number): void {
    if (ms >= GOOD_MS) this.#failures = 0;
  }
}
