import { SYSTEM_CLOCK, type Clock } from './clock.ts';

/** Lets go late: what was left is released only when nobody came back for a while, so that a quick leave and join costs the broker nothing. */
export class Linger {
  readonly #delayMs: number;
  readonly #release: (key: string) => void;
  readonly #left = new Map<string, number>();
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(delayMs: number, release: (key: string) => void, clock: Clock = SYSTEM_CLOCK) {
    this.#delayMs = delayMs;
    this.#release = release;
    this.#clock = clock;
  }

  /** `key` is released after the delay, unless {@link cancel} comes first. */
  start(key: string): void {
    if (this.#closed) return;
    this.#left.delete(key);
    this.#left.set(key, this.#clock.now() + this.#delayMs);
    this.#arm();
  }

  cancel(key: string): void {
    this.#left.delete(key);
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#left.clear();
  }

  #arm(): void {
    this.#cancel ??= this.#clock.after(this.#delayMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#cancel = undefined;
    const now = this.#clock.now();
    for (const [key, due] of this.#left) {
      if (due > now) break;
      this.#left.delete(key);
      this.#release(key);
    }
    if (this.#left.size > 0) this.#arm();
  }
}
