/** A worker that has been silent for so long is taken for dead. */
const SILENCE_MS = 10_000;

/**
 * Which workers with a queue of their own live. Each says so every 2 s in a room; silence is counted in looks, each of which comes after everything that had
 * arrived was read: so a gateway that stood still itself, or lost its broker, takes nobody for dead. Knows no clock and no room.
 */
export class WorkerWatch {
  readonly #looksAllowed: number;
  readonly #onSilent: (queue: string) => void;
  readonly #looks = new Map<string, number>();

  /** `lookMs`: how often {@link look} is called. `onSilent` is called once; the worker is forgotten then. */
  constructor(lookMs: number, onSilent: (queue: string) => void) {
    this.#looksAllowed = Math.ceil(SILENCE_MS / lookMs);
    this.#onSilent = onSilent;
  }

  get size(): number {
    return this.#looks.size;
  }

  add(queue: string): void {
    this.#looks.set(queue, 0);
  }

  remove(queue: string): void {
    this.#looks.delete(queue);
  }

  /** The worker of this queue has said something. */
  heard(queue: string): void {
    if (this.#looks.has(queue)) this.#looks.set(queue, 0);
  }

  /** Nobody could be heard until now: the count begins anew for all. */
  begin(): void {
    for (const queue of this.#looks.keys()) this.#looks.set(queue, 0);
  }

  /** To be called at regular times, after what had arrived was read, while the broker is there. */
  look(): void {
    for (const [queue, looks] of this.#looks) {
      if (looks + 1 <= this.#looksAllowed) this.#looks.set(queue, looks + 1);
      else {
        this.#looks.delete(queue);
        this.#onSilent(queue);
      }
    }
  }
}
