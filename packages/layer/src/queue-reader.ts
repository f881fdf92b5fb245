import type { Clock } from './clock.ts';
import { decodeMessage } from './codec.ts';
import type { Credit, LayerLogger, LayerStats, Message } from './contract.ts';
import type { Driver, Taken } from './driver/driver.ts';
import { Listener, Listeners } from './listener.ts';
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
/** Messages taken at once for listeners, however much credit they have: others read the queue too. */
const MOST_AT_ONCE = 64;
/** A queue that cannot be read is tried again after this time, in milliseconds, where somebody listens to it. */
const RETRY_MS = 1000;

/** A message that was taken, and who is to have it. */
interface Handed {
  readonly item: Taken;
  readonly to: Waiter<Message> | Listener;
}

/**
 * Reads one worker queue for the listeners of this process: one pop at a time, for as many messages as are waited for and as there is credit, and a few more
 * where those who wait have proved to be quick and the driver reads ahead.
 */
export class QueueReader {
  readonly #name: string;
  readonly #context: QueueReaderContext;
  readonly #waiters = new WaiterList<Message>(() => this.#restIfUnwanted());
  readonly #listeners = new Listeners();
  readonly #ahead: ReadAhead;
  /** Ends the pop under way when nobody waits any more. */
  #stop = new AbortController();
  #pumping = false;
  /** Messages that are being settled before they are given. */
  #beingSettled: Promise<void> | undefined;
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
    this.#pumpIfWanted();
    return received;
  }

  /** Gives the listener what comes; the function that it returns resolves when it is not called any more. */
  listen(listener: Listener): () => Promise<void> {
    this.#listeners.add(listener);
    this.#pumpIfWanted();
    return async () => {
      this.#listeners.remove(listener);
      this.#restIfUnwanted();
      await this.#beingSettled;
    };
  }

  /** A listener may be given more. */
  freed(): void {
    if (this.#closed === undefined) this.#pumpIfWanted();
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
    if (this.#ahead.empty) return this.#looks >= LOOKS_IN_ORDER && this.#listeners.size === 0;
    if (this.#looks === LOOKS_IN_ORDER) this.#returnBefore(this.#returnInOrder(this.#ahead.release()));
    if (this.#looks >= LOOKS_ANYWAY) this.#returnBefore(this.#giveBack(this.#ahead.release()));
    return false;
  }

  close(reason: Error): void {
    this.#closed = reason;
    this.#waiters.rejectAll(reason);
    this.#stop.abort();
    void this.#giveBack(this.#ahead.release());
  }

  /** How many messages somebody is there for. */
  get #wanted(): number {
    return this.#closed === undefined ? this.#waiters.size + this.#listeners.credit(MOST_AT_ONCE) : 0;
  }

  #restIfUnwanted(): void {
    if (this.#wanted === 0) this.#stop.abort();
  }

  #pumpIfWanted(): void {
    if (!this.#pumping && this.#wanted > 0) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      for (let wanted = this.#wanted; wanted > 0; wanted = this.#wanted) {
        if (this.#returning !== undefined || !this.#ahead.empty) {
          await this.#returning;
          this.#serveHeld();
          continue;
        }
        if (this.#stop.signal.aborted) this.#stop = new AbortController();
        const more = this.#ahead.wanted;
        const taken = await this.#context.driver.pop(this.#name, wanted, this.#stop.signal, more);
        await (this.#beingSettled = this.#hand(taken, more > 0));
        this.#serveHeld();
      }
    } catch (error) {
      this.#onUnreadable(error);
    } finally {
      this.#pumping = false;
      this.#beingSettled = undefined;
      this.#looks = 0;
      this.#context.rested();
    }
  }

  /** Listeners stay, and it is tried again. */
  #onUnreadable(error: unknown): void {
    this.#waiters.rejectAll(error);
    if (this.#listeners.size === 0 || this.#closed !== undefined) return;
    this.#context.logger.warn('a queue could not be read for its listeners', { queue: this.#name, error: String(error) });
    this.#context.clock.after(RETRY_MS, () => this.freed());
  }

  /** Who gets them is known before they are settled, in one round trip for all: from then on an abort comes too late. */
  async #hand(taken: readonly Taken[], ahead: boolean): Promise<void> {
    const handed: Handed[] = [];
    const left: Taken[] = [];
    const about = new Map<Listener, Required<Credit>>();
    for (const item of taken) {
      const to = this.#closed === undefined ? this.#taker(item, about) : undefined;
      if (to === undefined) left.push(item);
      else handed.push({ item, to });
    }
    const held = ahead && handed.length > 0;
    if (held) this.#ahead.hold(left);
    const settled = handed.some(({ item }) => item.accept !== undefined) ? await Promise.all(handed.map(({ item }) => settle(item))) : undefined;
    const unserved = handed.flatMap(({ item, to }, index) => this.#serve(item, to, settled?.[index] ?? true));
    for (const waiter of unserved.toReversed()) {
      if (this.#closed === undefined) this.#waiters.return(waiter);
      else waiter.reject(this.#closed);
    }
    if (!held) await this.#giveBack(left);
  }

  #taker({ payload }: Taken, about: Map<Listener, Required<Credit>>): Waiter<Message> | Listener | undefined {
    const waiter = this.#waiters.take();
    if (waiter !== undefined) return waiter;
    const listener = this.#listeners.next(about);
    if (listener === undefined) return undefined;
    const { messages, bytes } = about.get(listener) ?? { messages: 0, bytes: 0 };
    about.set(listener, { messages: messages + 1, bytes: bytes + payload.length });
    return listener;
  }

  /** The waiter, where there is nothing for him after all. */
  #serve(item: Taken, to: Waiter<Message> | Listener, settled: boolean): Waiter<Message>[] {
    if (to instanceof Listener) {
      if (settled) this.#give(item, to);
      return [];
    }
    const message = settled ? this.#decode(item) : undefined;
    if (message === undefined) return [to];
    this.#ahead.handed(this.#context.clock.now());
    to.resolve(message);
    return [];
  }

  #give({ payload, endsAt }: Taken, to: Listener): void {
    to.give(payload, endsAt === undefined ? undefined : Math.max(0, endsAt - this.#context.clock.now()));
  }

  /** What was read ahead comes before what the queue has: to those who wait, and to listeners. */
  #serveHeld(): void {
    for (;;) {
      if (this.#waiters.size > 0) {
        const message = this.#nextHeld();
        if (message === undefined) return;
        this.#waiters.take()?.resolve(message);
      } else {
        const listener = this.#ahead.empty ? undefined : this.#listeners.next();
        if (listener === undefined) return;
        const item = this.#takeHeld(this.#context.clock.now());
        if (item !== undefined) this.#give(item, listener);
      }
    }
  }

  #nextHeld(): Message | undefined {
    while (!this.#ahead.empty) {
      const now = this.#context.clock.now();
      const item = this.#takeHeld(now);
      const message = item === undefined ? undefined : this.#decode(item);
      if (message === undefined) continue;
      this.#ahead.handed(now);
      return message;
    }
    return undefined;
  }

  #takeHeld(now: number): Taken | undefined {
    return this.#ahead.next(now, () => (this.#context.stats.expired += 1));
  }

  #decode({ payload }: Taken): Message | undefined {
    const message = decodeMessage(payload);
    if (message === undefined) this.#context.stats.undecodable += 1;
    return message;
  }

  #returnBefore(returning: Promise<void>): void {
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
