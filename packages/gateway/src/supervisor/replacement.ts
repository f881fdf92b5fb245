/** What to do about a worker that died: start another one after a while, or end everything, since they die faster than it helps. */
export type ReplacementVerdict = { readonly kind: 'replace'; readonly afterMs: number } | { readonly kind: 'give-up'; readonly deaths: number };

/** So many deaths in {@link WINDOW_MS}, of all workers together, are the end. */
const MOST_DEATHS = 5;
const WINDOW_MS = 60_000;
/** The first worker that dies is replaced after so long, in milliseconds; each further one within the window after twice as long. */
const FIRST_WAIT_MS = 100;

/** Decides when dead workers are replaced. It has no clock: each call says what time it is. */
export class Replacement {
  #deaths: number[] = [];

  /** A worker has died, unasked. `now` in milliseconds, never going back. */
  died(now: number): ReplacementVerdict {
    this.#deaths = [...this.#deaths.filter((at) => now - at < WINDOW_MS), now];
    const deaths = this.#deaths.length;
    return deaths >= MOST_DEATHS ? { kind: 'give-up', deaths } : { kind: 'replace', afterMs: FIRST_WAIT_MS * 2 ** (deaths - 1) };
  }
}
