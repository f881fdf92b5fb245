/** A room is let go between once and twice this after its last member has left, so that who comes back soon costs the broker nothing. In milliseconds. */
const LINGER_MS = 5000;

/** Rooms that everybody has left. One timer for all. */
export class Linger {
  readonly #release: (room: string) => void;
  #left = new Set<string>();
  #before = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(release: (room: string) => void) {
    this.#release = release;
  }

  start(room: string): void {
    this.#left.add(room);
    this.#timer ??= setTimeout(() => this.#sweep(), LINGER_MS).unref();
  }

  cancel(room: string): void {
    this.#left.delete(room);
    this.#before.delete(room);
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
    if (this.#before.size > 0) this.#timer = setTimeout(() => this.#sweep(), LINGER_MS).unref();
    for (const room of due) this.#release(room);
  }
}
