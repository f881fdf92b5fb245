import { decodeMessage } from './codec.ts';
import type { LayerLogger, LayerStats, Message } from './contract.ts';
import type { Driver, Taken } from './driver/driver.ts';
import { WaiterList, type Waiter } from './waiters.ts';

interface Queue {
  readonly name: string;
  readonly waiters: WaiterList<Message>;
  /** Ends the pop under way when nobody waits any more. */
  stop: AbortController;
}

/**
 * Reads worker queues for the listeners of this process: one pop a queue at a time, for as many messages as there are listeners waiting,
 * so that nothing is taken that nobody asked for.
 */
export class QueueReaders {
  readonly #driver: Driver;
  readonly #logger: LayerLogger;
  readonly #stats: LayerStats;
  readonly #queues = new Map<string, Queue>();
  #closed: Error | undefined;

  constructor(driver: Driver, logger: LayerLogger, stats: LayerStats) {
    this.#driver = driver;
    this.#logger = logger;
    this.#stats = stats;
  }

  receive(name: string, signal: AbortSignal | undefined): Promise<Message> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const known = this.#queues.get(name);
    if (known !== undefined) return known.waiters.wait(signal);
    const queue: Queue = { name, waiters: new WaiterList(() => queue.stop.abort()), stop: new AbortController() };
    this.#queues.set(name, queue);
    const received = queue.waiters.wait(signal);
    void this.#pump(queue);
    return received;
  }

  close(reason: Error): void {
    this.#closed = reason;
    for (const queue of this.#queues.values()) {
      queue.waiters.rejectAll(reason);
      queue.stop.abort();
    }
  }

  async #pump(queue: Queue): Promise<void> {
    try {
      while (queue.waiters.size > 0) {
        if (queue.stop.signal.aborted) queue.stop = new AbortController();
        const taken = await this.#driver.pop(queue.name, queue.waiters.size, queue.stop.signal);
        await this.#hand(queue, taken);
      }
    } catch (error) {
      queue.waiters.rejectAll(error);
    } finally {
      this.#queues.delete(queue.name);
    }
  }

  /** Waiters are taken before their messages are settled, in one round trip for all: from then on an abort comes too late. */
  async #hand(queue: Queue, taken: readonly Taken[]): Promise<void> {
    const handed: { readonly item: Taken; readonly waiter: Waiter<Message> }[] = [];
    const left: Taken[] = [];
    for (const item of taken) {
      const waiter = this.#closed === undefined ? queue.waiters.take() : undefined;
      if (waiter === undefined) left.push(item);
      else handed.push({ item, waiter });
    }
    const settled = await Promise.all(handed.map(({ item }) => settle(item)));
    const unserved = handed.filter(({ item, waiter }, index) => !this.#serve(waiter, item, settled[index] === true));
    for (const { waiter } of unserved.toReversed()) {
      if (this.#closed === undefined) queue.waiters.return(waiter);
      else waiter.reject(this.#closed);
    }
    for (const item of left.toReversed()) {
      await item.giveBack().catch((error: unknown) => {
        this.#logger.warn('a message that nobody waited for any more could not be put back into its queue', { queue: queue.name, error: String(error) });
      });
    }
  }

  /** False where there is nothing for the waiter after all. */
  #serve(waiter: Waiter<Message>, item: Taken, settled: boolean): boolean {
    if (!settled) return false;
    const message = decodeMessage(item.payload);
    if (message === undefined) this.#stats.undecodable += 1;
    else waiter.resolve(message);
    return message !== undefined;
  }
}

/** Whether the message is this process's now, and nobody else's. */
async function settle(item: Taken): Promise<boolean> {
  return item.accept === undefined || item.accept().catch(() => false);
}
