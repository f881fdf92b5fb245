import type { Clock } from './clock.ts';
import { decodeMessage } from './codec.ts';
import type { LayerLogger, LayerStats, Message } from './contract.ts';
import type { Driver, Taken } from './driver/driver.ts';
import { ReadAhead } from './read-ahead.ts';
import { WaiterList, type Waiter } from './waiters.ts';

export interface QueueReaderContext {
  readonly driver: Driver;
  readonly logger: LayerLogger;
  readonly stats: LayerStats;
  readonly clock: Clock;
  /** Called when nobody waits any more. */
  readonly rested: () => void;
}

const NOTHING_AHEAD = { most: 0, proof: 0 };
/** What was read ahead is given back when nobody has come for it at so many looks, if it keeps its order there. */
const LOOKS_IN_ORDER = 2;
/** And at so many in any case: others have gone on past it, and would rather have it late than not at all. */
const LOOKS_ANYWAY = 40;

/**
 * Reads one worker queue for the listeners of this process: one pop at a time, for as many messages as there are listeners waiting, and a few more
 * where they have proved to be quick and the driver reads ahead.
 */
export class QueueReader {
  readonly #name: string;
  readonly #context: QueueReaderContext;
  readonly #waiters = new WaiterList<Message>(() => this.#stop.abort());
  readonly #ahead: ReadAhead;
  /** Ends the pop under way when nobody waits any more. */
  #stop = new AbortController();
  #pumping = false;
  /** How often it was looked at since somebody asked for a message. */
  #looks = 0;
  /** Until that has ended nothing is taken: it may be older. */
  #returning: Promise<void> | undefined;
  #closed: Error | undefined;

  constructor(name: string, context: QueueReaderContext) {
    this.#name = name;
    this.#context = context;
    this.#ahead = new ReadAhead(context.driver.readAhead ?? NOTHING_AHEAD);
  }

  receive(signal: AbortSignal | undefined): Promise<Message> {
    this.#looks = 0;
    this.#ahead.asked(this.#context.clock.now());
    const message = this.#nextHeld();
    if (message !== undefined) return Promise.resolve(message);
    const received = this.#waiters.wait(signal);
    if (!this.#pumping) void this.#pump();
    return received;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#pumping;
  }

  /**
   * Looked at from time to time while nobody waits: what nobody comes for goes back. Looks are counted, and no clock is read: a process that was starved
   * of time has not been slow. True when it can be forgotten.
   */
  look(): boolean {
    this.#looks += 1;
    if (this.#returning !== undefined) return false;
    if (this.#ahead.empty) return this.#looks >= LOOKS_IN_ORDER;
    if (this.#looks === LOOKS_IN_ORDER) this.#return(this.#returnInOrder(this.#ahead.release()));
    if (this.#looks >= LOOKS_ANYWAY) this.#return(this.#giveBack(this.#ahead.release()));
    return false;
  }

  close(reason: Error): void {
    this.#closed = reason;
    this.#waiters.rejectAll(reason);
    this.#stop.abort();
    void this.#giveBack(this.#ahead.release());
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      while (this.#waiters.size > 0) {
        if (this.#returning !== undefined) {
          await this.#returning;
          this.#serveHeld();
          continue;
        }
        if (this.#stop.signal.aborted) this.#stop = new AbortController();
        const more = this.#ahead.wanted;
        const taken = await this.#context.driver.pop(this.#name, this.#waiters.size, this.#stop.signal, more);
        await this.#hand(taken, more > 0);
        this.#serveHeld();
      }
    } catch (error) {
      this.#waiters.rejectAll(error);
    } finally {
      this.#pumping = false;
      this.#looks = 0;
      this.#context.rested();
    }
  }

  /** Waiters are taken before their messages are settled, in one round trip for all: from then on an abort comes too late. */
  async #hand(taken: readonly Taken[], ahead: boolean): Promise<void> {
    const handed: { readonly item: Taken; readonly waiter: Waiter<Message> }[] = [];
    const left: Taken[] = [];
    for (const item of taken) {
      const waiter = this.#closed === undefined ? this.#waiters.take() : undefined;
      if (waiter === undefined) left.push(item);
      else handed.push({ item, waiter });
    }
    const held = ahead && handed.length > 0;
    if (held) this.#ahead.hold(left);
    const settled = handed.some(({ item }) => item.accept !== undefined) ? await Promise.all(handed.map(({ item }) => settle(item))) : undefined;
    const unserved = handed.filter(({ item, waiter }, index) => !this.#serve(waiter, item, settled?.[index] ?? true));
    for (const { waiter } of unserved.toReversed()) {
      if (this.#closed === undefined) this.#waiters.return(waiter);
      else waiter.reject(this.#closed);
    }
    if (!held) await this.#giveBack(left);
  }

  /** False where there is nothing for the waiter after all. */
  #serve(waiter: Waiter<Message>, item: Taken, settled: boolean): boolean {
    const message = settled ? this.#decode(item) : undefined;
    if (message === undefined) return false;
    this.#ahead.handed(this.#context.clock.now());
    waiter.resolve(message);
    return true;
  }

  /** Those who were handed what could not be read. */
  #serveHeld(): void {
    while (this.#waiters.size > 0) {
      const message = this.#nextHeld();
      if (message === undefined) return;
      this.#waiters.take()?.resolve(message);
    }
  }

  #nextHeld(): Message | undefined {
    while (!this.#ahead.empty) {
      const now = this.#context.clock.now();
      const item = this.#ahead.next(now, () => (this.#context.stats.expired += 1));
      const message = item === undefined ? undefined : this.#decode(item);
      if (message === undefined) continue;
      this.#ahead.handed(now);
      return message;
    }
    return undefined;
  }

  #decode({ payload }: Taken): Message | undefined {
    const message = decodeMessage(payload);
    if (message === undefined) this.#context.stats.undecodable += 1;
    return message;
  }

  #return(returning: Promise<void>): void {
    const ended = returning.finally(() => {
      if (this.#returning === ended) this.#returning = undefined;
    });
    this.#returning = ended;
  }

  /** Where others have gone on past them they stay here for a while: this process's listeners, who have not, may come back. */
  async #returnInOrder(items: readonly Taken[]): Promise<void> {
    const returned = await Promise.allSettled(items.toReversed().map(async (item) => item.giveBackInOrder?.() ?? false));
    const kept = items.toReversed().filter((_, index) => {
      const result = returned[index];
      return result?.status === 'fulfilled' && !result.value;
    });
    if (this.#closed === undefined) this.#ahead.hold(kept.toReversed());
    else await this.#giveBack(kept.toReversed());
  }

  /** All in one turn, the youngest first, so that the driver can put them back in one step and in order. */
  async #giveBack(items: readonly Taken[]): Promise<void> {
    const given = await Promise.allSettled(items.toReversed().map((item) => item.giveBack()));
    for (const result of given) {
      if (result.status === 'fulfilled') continue;
      this.#context.logger.warn('a message that nobody waited for any more could not be put back into its queue', {
        queue: this.#name,
        error: String(result.reason),
      });
    }
  }
}

/** Whether the message is this process's now, and nobody else's. */
async function settle(item: Taken): Promise<boolean> {
  return item.accept === undefined || item.accept().catch(() => false);
}
