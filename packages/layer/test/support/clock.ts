import type { Clock } from '../../src/clock.ts';

/** A clock that goes on only when told to. */
export class TestClock implements Clock {
  #now = 1000;
  readonly #due: { readonly at: number; readonly step: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, step: () => void): () => void {
    const entry = { at: this.#now + ms, step };
    this.#due.push(entry);
    return () => this.#remove(entry);
  }

  /** Timers that are waiting. */
  get pending(): number {
    return this.#due.length;
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#due.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#remove(next);
      this.#now = next.at;
      next.step();
    }
    this.#now = end;
  }

  /** Time goes by in which nothing of this process runs; then what is due does, once. */
  stall(ms: number): void {
    this.#now += ms;
    for (const entry of this.#due.filter(({ at }) => at <= this.#now)) {
      this.#remove(entry);
      entry.step();
    }
  }

  #remove(entry: { readonly at: number; readonly step: () => void }): void {
    const index = this.#due.indexOf(entry);
    if (index !== -1) this.#due.splice(index, 1);
  }
}
