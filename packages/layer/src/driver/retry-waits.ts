import { setTimeout } from 'node:timers/promises';

const FIRST_MS = 50;
const LONGEST_MS = 2000;

/**
 * The waits of a driver between its attempts to reach a broker, which it makes for ever: each twice as long as the one before, from 50 ms to 2 s, and
 * each with jitter, from half of it to all, so that a fleet that lost its broker does not come back in one moment.
 */
export class RetryWaits {
  #next = FIRST_MS;

  /** The broker was reached: the next wait is a short one. */
  reset(): void {
    this.#next = FIRST_MS;
  }

  /** Resolves after the next wait; at once where `signal` is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    const longest = this.#next;
    this.#next = Math.min(longest * 2, LONGEST_MS);
    await setTimeout(longest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
}
