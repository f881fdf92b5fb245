import type { FlushClock } from './flush.ts';

/** How long work of this kind holds the event loop at once, in milliseconds. */
const SLICE_MS = 5;

/** Turns for work that thousands may be due at the same moment: each begins when those before it have had theirs, a slice of the loop at a time. */
export class Slices {
  readonly #clock: FlushClock;
  #waiting: (() => void)[] = [];
  #isRunning = false;

  constructor(clock: FlushClock) {
    this.#clock = clock;
  }

  /** Resolves when it is this one's turn, which lasts to its next wait. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      const until = this.#clock.now() + SLICE_MS;
      let index = 0;
      do {
        waiting[index]?.();
        index += 1;
        // It goes on before this does.
        await Promise.resolve();
      } while (index < waiting.length && this.#clock.now() < until);
      // Those that had no turn come first.
      this.#waiting = [...waiting.slice(index), ...this.#waiting];
      if (this.#waiting.length > 0) await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
    this.#isRunning = false;
  }
}
