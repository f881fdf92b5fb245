/** Lets go late: what was left is released only when nobody came back for a while, so that a quick leave and join costs the broker nothing. */
export class Linger {
  readonly #delayMs: number;
  readonly #release: (key: string) => void;
  readonly #left = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(delayMs: number, release: (key: string) => void) {
    this.#delayMs = delayMs;
    this.#release = release;
  }

  /** `key` is released after the delay, unless {@link cancel} comes first. */
  start(key: string): void {
    if (this.#closed) return;
    this.#left.delete(key);
    this.#left.set(key, performance.now() + this.#delayMs);
    this.#arm();
  }

  cancel(key: string): void {
    this.#left.delete(key);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#left.clear();
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => this.#sweep(), this.#delayMs).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [key, due] of this.#left) {
      if (due > now) break;
      this.#left.delete(key);
      this.#release(key);
    }
    if (this.#left.size > 0) this.#arm();
  }
}
