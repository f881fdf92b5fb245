import type { Taken } from '../driver/driver.ts';
import { ExpiringQueue } from '../expiring.ts';

interface QueuedMessage {
  readonly payload: Uint8Array;
  readonly expiresAt: number;
}

interface Popper {
  readonly max: number;
  resolve(taken: readonly Taken[]): void;
}

/** One worker queue of a {@link Bus}. It tells when nothing waits in it and nobody waits for it, so that an idle queue costs nothing. */
export class MemoryQueue {
  readonly #idle: () => void;
  readonly #current: () => MemoryQueue;
  readonly #waiting = new ExpiringQueue<QueuedMessage>();
  readonly #poppers: Popper[] = [];
  #sweeper: NodeJS.Timeout | undefined;

  /** `current` is the queue that has this name by then: this one, or its successor after it was idle. */
  constructor(current: () => MemoryQueue, idle: () => void) {
    this.#current = current;
    this.#idle = idle;
  }

  /** Once what has expired is gone, whether so many wait. */
  isFull(capacity: number): boolean {
    this.#waiting.dropExpired(performance.now());
    return this.#waiting.length >= capacity;
  }

  push(payload: Uint8Array, expiryMs: number): void {
    this.#waiting.push({ payload, expiresAt: performance.now() + expiryMs });
    this.#serve();
  }

  pop(max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return new Promise((resolve) => {
      const leave = (): void => {
        const index = this.#poppers.indexOf(popper);
        if (index !== -1) this.#poppers.splice(index, 1);
        resolve([]);
        this.settle();
      };
      const popper: Popper = {
        max,
        resolve: (taken) => {
          signal.removeEventListener('abort', leave);
          resolve(taken);
        },
      };
      if (signal.aborted) {
        leave();
        return;
      }
      signal.addEventListener('abort', leave, { once: true });
      this.#poppers.push(popper);
      this.#serve();
    });
  }

  clear(): void {
    this.#waiting.clear();
    this.settle();
  }

  /** Sees to it that what expires does, and that a queue without anything in it is forgotten. */
  settle(): void {
    clearTimeout(this.#sweeper);
    const soonest = this.#waiting.soonest;
    if (soonest !== undefined) this.#sweeper = setTimeout(() => this.#sweep(), Math.max(1, soonest - performance.now())).unref();
    else if (this.#poppers.length === 0) this.#idle();
  }

  #serve(): void {
    this.#waiting.dropExpired(performance.now());
    while (this.#waiting.length > 0) {
      const popper = this.#poppers.shift();
      if (popper === undefined) break;
      popper.resolve(this.#waiting.take(popper.max).map((message) => this.#taken(message)));
    }
    this.settle();
  }

  #taken(message: QueuedMessage): Taken {
    return {
      payload: message.payload,
      endsAt: message.expiresAt,
      giveBack: async () => this.#current().#putBack(message),
    };
  }

  #putBack(message: QueuedMessage): void {
    this.#waiting.unshift(message);
    this.#serve();
  }

  #sweep(): void {
    this.#waiting.dropExpired(performance.now());
    this.settle();
  }
}
