import type { Taken } from '../driver/driver.ts';

interface Waiting {
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
  #waiting: Waiting[] = [];
  readonly #poppers: Popper[] = [];
  #sweeper: NodeJS.Timeout | undefined;

  /** `current` is the queue that has this name by then: this one, or its successor after it was idle. */
  constructor(current: () => MemoryQueue, idle: () => void) {
    this.#current = current;
    this.#idle = idle;
  }

  push(payload: Uint8Array, capacity: number, expiryMs: number): boolean {
    this.#dropExpired();
    if (this.#waiting.length >= capacity) return false;
    this.#waiting.push({ payload, expiresAt: performance.now() + expiryMs });
    this.#serve();
    return true;
  }

  pop(max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return new Promise((resolve) => {
      const leave = (): void => {
        const index = this.#poppers.indexOf(popper);
        if (index !== -1) this.#poppers.splice(index, 1);
        resolve([]);
        this.#settle();
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
    this.#waiting = [];
    this.#settle();
  }

  #serve(): void {
    this.#dropExpired();
    while (this.#waiting.length > 0) {
      const popper = this.#poppers.shift();
      if (popper === undefined) break;
      popper.resolve(this.#waiting.splice(0, popper.max).map((message) => this.#taken(message)));
    }
    this.#settle();
  }

  #taken(message: Waiting): Taken {
    return {
      payload: message.payload,
      giveBack: async () => this.#current().#putBack(message),
    };
  }

  #putBack(message: Waiting): void {
    this.#waiting.unshift(message);
    this.#serve();
  }

  #settle(): void {
    clearTimeout(this.#sweeper);
    const oldest = this.#waiting[0];
    if (oldest !== undefined) this.#sweeper = setTimeout(() => this.#sweep(), Math.max(1, oldest.expiresAt - performance.now())).unref();
    else if (this.#poppers.length === 0) this.#idle();
  }

  #sweep(): void {
    this.#dropExpired();
    this.#settle();
  }

  #dropExpired(): void {
    const now = performance.now();
    let expired = 0;
    while (expired < this.#waiting.length && (this.#waiting[expired]?.expiresAt ?? 0) <= now) expired += 1;
    if (expired > 0) this.#waiting.splice(0, expired);
  }
}
