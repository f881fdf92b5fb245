/** Somebody who waits for the next message of a channel. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
  readonly signal: AbortSignal | undefined;
  readonly abort: () => void;
}

/** Waiters of one channel, served in waiting order. One that aborts leaves without having taken anything. */
export class WaiterList<T> {
  readonly #waiters: Waiter<T>[] = [];
  readonly #emptied: () => void;

  /** `emptied` is called when the last waiter aborted. */
  constructor(emptied: () => void) {
    this.#emptied = emptied;
  }

  get size(): number {
    return this.#waiters.length;
  }

  wait(signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiter: Waiter<T> = { resolve, reject, signal, abort: () => this.#leave(waiter) };
      this.#enter(waiter, false);
    });
  }

  /** Takes the one who has waited longest: from now on an abort comes too late, and it must be resolved, rejected or returned. */
  take(): Waiter<T> | undefined {
    const waiter = this.#waiters.shift();
    waiter?.signal?.removeEventListener('abort', waiter.abort);
    return waiter;
  }

  /** Puts a taken waiter back in front, since there was nothing for it after all. */
  return(waiter: Waiter<T>): void {
    this.#enter(waiter, true);
  }

  rejectAll(reason: unknown): void {
    for (let waiter = this.take(); waiter !== undefined; waiter = this.take()) waiter.reject(reason);
  }

  #enter(waiter: Waiter<T>, first: boolean): void {
    if (waiter.signal?.aborted === true) {
      waiter.reject(waiter.signal.reason);
      return;
    }
    waiter.signal?.addEventListener('abort', waiter.abort, { once: true });
    if (first) this.#waiters.unshift(waiter);
    else this.#waiters.push(waiter);
  }

  #leave(waiter: Waiter<T>): void {
    const index = this.#waiters.indexOf(waiter);
    if (index === -1) return;
    this.#waiters.splice(index, 1);
    waiter.reject(waiter.signal?.reason);
    if (this.#waiters.length === 0) this.#emptied();
  }
}
