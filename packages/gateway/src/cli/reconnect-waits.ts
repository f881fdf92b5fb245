import { setTimeout as delay } from 'node:timers/promises';

const FIRST_MS = 250;
const LAST_MS = 15_000;

/** Growing waits with jitter between attempts. */
export class ReconnectWaits {
  #failures = 0;

  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** Resolves early when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const longest = Math.min(LAST_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    await delay(longest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
}
