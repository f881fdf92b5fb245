const MINUTE_MS = 60_000;

/** How often something happened in a minute. */
export class PerMinute {
  #since = -Infinity;
  #count = 0;

  /** Counts once more, at `now` in milliseconds; true when that makes `limit` of them, or more. */
  add(now: number, limit: number): boolean {
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count >= limit;
  }
}
