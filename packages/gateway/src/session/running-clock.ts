/**
 * Time that this process could use: however long it stood still, stopped or starved, that counts as `most` milliseconds. What a peer had no chance to do meanwhile,
 * since nothing was read or written, is not held against it.
 */
export class RunningClock {
  readonly #now: () => number;
  readonly #most: number;
  #passed = 0;
  #seen: number;

  /** `now` in milliseconds, never going back; {@link tick} is to be called more often than each `most` of them. */
  constructor(now: () => number, most: number) {
    this.#now = now;
    this.#most = most;
    this.#seen = now();
  }

  /** Milliseconds. */
  readonly now = (): number => this.#passed + Math.min(this.#now() - this.#seen, this.#most);

  /** The process runs. */
  tick(): void {
    this.#passed = this.now();
    this.#seen = this.#now();
  }
}
