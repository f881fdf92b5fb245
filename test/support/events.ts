/** How long a test waits for what must come, before it fails with what came instead. */
const PATIENCE_MS = 30_000;

/** Keeps what arrives, in order, and lets a test wait for it. */
export class Collector<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<() => void>();
  #taken = 0;
  #ended: Error | undefined;

  push(value: T): void {
    this.all.push(value);
    this.#wake();
  }

  /** Nothing more will come: whoever still waits is told why. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#wake();
  }

  /** The next value that no earlier `next` or `take` has returned. */
  async next(): Promise<T> {
    const [value] = await this.take(1);
    return value as T;
  }

  /** The next `count` values that no earlier call has returned. */
  async take(count: number): Promise<T[]> {
    await this.until((all) => all.length >= this.#taken + count, `${count} more`);
    const values = this.all.slice(this.#taken, this.#taken + count);
    this.#taken += count;
    return values;
  }

  /** The first value, of all that came or will come, for which `matches` holds. */
  async find(matches: (value: T) => boolean, what = 'the one looked for'): Promise<T> {
    await this.until((all) => all.some(matches), what);
    return this.all.find(matches) as T;
  }

  /** Resolves as soon as `holds` is true of everything that came so far. */
  until(holds: (all: readonly T[]) => boolean, what = 'what was waited for'): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string): void => reject(new Error(`${why}: ${what} did not come; ${this.all.length} came, the last: ${this.#last()}`));
    const look = (): void => {
      if (holds(this.all)) resolve();
      else if (this.#ended) fail(this.#ended.message);
      else return;
      this.#waiting.delete(look);
    };
    this.#waiting.add(look);
    const timer = setTimeout(() => {
      this.#waiting.delete(look);
      fail(`after ${PATIENCE_MS} ms`);
    }, PATIENCE_MS);
    look();
    return promise.finally(() => clearTimeout(timer));
  }

  #last(): string {
    return String(this.all.at(-1)).slice(0, 500);
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }
}
