/** Rooms that everybody has left: each is let go between once and twice `delay` later, so that who comes back soon costs the broker nothing. One timer for all. */
export class LeftRooms {
  readonly #delay: number;
  readonly #release: (room: string) => void;
  #left = new Set<string>();
  #before = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** `delay` in milliseconds. */
  constructor(delay: number, release: (room: string) => void) {
    this.#delay = delay;
    this.#release = release;
  }

  add(room: string): void {
    this.#left.add(room);
    this.#timer ??= setTimeout(() => this.#sweep(), this.#delay).unref();
  }

  delete(room: string): void {
    this.#left.delete(room);
    this.#before.delete(room);
  }

  /** The one that everybody left the longest ago is let go at once; false where there is none. */
  releaseOldest(): boolean {
    for (const left of [this.#before, this.#left]) {
      for (const room of left) {
        left.delete(room);
        this.#release(room);
        return true;
      }
    }
    return false;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#left.clear();
    this.#before.clear();
  }

  #sweep(): void {
    this.#timer = undefined;
    const due = this.#before;
    this.#before = this.#left;
    this.#left = new Set();
    if (this.#before.size > 0) this.#timer = setTimeout(() => this.#sweep(), this.#delay).unref();
    for (const room of due) this.#release(room);
  }
}
