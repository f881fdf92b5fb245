import { decodeMessage } from './codec.ts';
import type { LayerLogger, LayerStats, Message } from './contract.ts';
import type { Driver, Taken } from './driver/driver.ts';
import { WaiterList } from './waiters.ts';

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

  async #hand(queue: Queue, taken: readonly Taken[]): Promise<void> {
    const left: Taken[] = [];
    for (const item of taken) {
      if (left.length > 0 || !(await this.#handOne(queue, item))) left.push(item);
    }
    for (const item of left.toReversed()) {
      await item.giveBack().catch((error: unknown) => {
        this.#logger.warn('a message that nobody waited for any more could not be put back into its queue', { queue: queue.name, error: String(error) });
      });
    }
  }

  /** False where nobody waits any more. A waiter is taken before the message is settled: from then on its abort comes too late. */
  async #handOne(queue: Queue, item: Taken): Promise<boolean> {
    const waiter = this.#closed === undefined ? queue.waiters.take() : undefined;
    if (waiter === undefined) return false;
    const settled = item.accept === undefined || (await item.accept().catch(() => false));
    const message = settled ? decodeMessage(item.payload) : undefined;
    if (message !== undefined) {
      waiter.resolve(message);
      return true;
    }
    if (settled) this.#stats.undecodable += 1;
    if (this.#closed === undefined) queue.waiters.return(waiter);
    else waiter.reject(this.#closed);
    return true;
  }
}
