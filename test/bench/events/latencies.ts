/** Hundredths of a millisecond, up to 20 s. */
const PER_MS = 100;
const BUCKETS = 20_000 * PER_MS;

/** Counts of latencies, in constant memory. */
export class Latencies {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  add(ms: number): void {
    const bucket = Math.min(BUCKETS - 1, Math.floor(ms * PER_MS));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** Milliseconds that this share of them took at most; NaN of none. */
  at(share: number): number {
    let left = Math.ceil(this.#total * share);
    if (left === 0) return Number.NaN;
    const bucket = this.#counts.findIndex((count) => (left -= count) <= 0);
    return (bucket + 1) / PER_MS;
  }
}
