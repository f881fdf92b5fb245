/** Ids that were seen within a time, each with what was answered to the first of it. */
export class IdMemory<T> {
  readonly #memoryMs: number;
  readonly #most: number;
  readonly #seen = new Map<string, { readonly answer: T; readonly until: number }>();

  /** Beyond `most` the oldest are forgotten before their time. */
  constructor(memoryMs: number, most: number = Infinity) {
    this.#memoryMs = memoryMs;
    this.#most = most;
  }

  /** What was answered to the first of this id. */
  find(id: string, now: number): T | undefined {
    this.#forget(now);
    return this.#seen.get(id)?.answer;
  }

  add(id: string, answer: T, now: number): void {
    this.#seen.set(id, { answer, until: now + this.#memoryMs });
    this.#forget(now);
  }

  clear(): void {
    this.#seen.clear();
  }

  /** All are remembered for one time, so the oldest stand first. */
  #forget(now: number): void {
    for (const [id, { until }] of this.#seen) {
      if (until > now && this.#seen.size <= this.#most) return;
      this.#seen.delete(id);
    }
  }
}
