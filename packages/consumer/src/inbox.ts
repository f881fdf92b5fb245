import { ReceiveTimeoutError } from './errors.ts';

export interface ReceiveOptions {
  /** Milliseconds; none: as long as it takes. */
  readonly timeout?: number;
  /** Aborting rejects with `signal.reason`, and loses no message. */
  readonly signal?: AbortSignal;
}

interface PendingReceive<T> {
  resolve(item: T): void;
  reject(error: unknown): void;
}

/** What waits for a handler: first in, first out; who waits longest is served first. How much may wait is for who puts it in. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiters = new Set<PendingReceive<T>>();
  #ended: Error | undefined;
  #isAbandoned = false;

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    if (this.#isAbandoned) return;
    const [waiter] = this.#waiters;
    if (waiter === undefined) this.#items.push(item);
    else {
      this.#waiters.delete(waiter);
      waiter.resolve(item);
    }
  }

  /** The next one, if there is one just now. */
  take(): T | undefined {
    return this.#items.shift();
  }

  /** What is left is still given out; after it, and to who waits now, `error`. */
  end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  /** What is left is given to nobody; who waits, now or later, is told `error`. */
  abandon(error: Error): void {
    this.#isAbandoned = true;
    this.#items.length = 0;
    this.end(error);
  }

  receive({ timeout, signal }: ReceiveOptions): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift() as T);
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#wait({ resolve, reject }, timeout, signal));
  }

  #wait(waiter: PendingReceive<T>, timeout: number | undefined, signal: AbortSignal | undefined): void {
    if (timeout === undefined && signal === undefined) {
      this.#waiters.add(waiter);
      return;
    }
    const abort = (): void => give(() => waiter.reject(signal?.reason));
    const timer = timeout === undefined ? undefined : setTimeout(() => give(() => waiter.reject(new ReceiveTimeoutError(timeout))), timeout);
    const bounded: PendingReceive<T> = {
      resolve: (item) => give(() => waiter.resolve(item)),
      reject: (error) => give(() => waiter.reject(error)),
    };
    const give = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#waiters.delete(bounded);
      settle();
    };
    signal?.addEventListener('abort', abort);
    this.#waiters.add(bounded);
  }
}
