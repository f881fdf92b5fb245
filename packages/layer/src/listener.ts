import type { ChannelListener, Credit } from './contract.ts';

/** How many of the last messages their size is an average of. */
const AVERAGED = 16;

const NOTHING: Required<Credit> = { messages: 0, bytes: 0 };

/** What a {@link Listener} has to do with the channel that it listens to. */
export interface ListenerEvents {
  /** What the listener threw, or its promise rejected with. */
  failed(error: unknown): void;
  /** There is credit again. */
  freed(): void;
}

/** One who is called with the messages of a channel, as far as his credit goes. A call that returns nothing has used none of it. */
export class Listener {
  readonly #call: ChannelListener;
  readonly #most: Required<Credit>;
  readonly #events: ListenerEvents;
  #bytes = 0;
  #messages = 0;
  #size = 0;
  #calling = false;

  constructor(call: ChannelListener, most: Required<Credit>, events: ListenerEvents) {
    this.#call = call;
    this.#most = most;
    this.#events = events;
  }

  /** How many messages of the size of the last ones may be given; none while it is called, so that it is never re-entered. */
  get credit(): number {
    if (!this.hasCredit(NOTHING)) return 0;
    return Math.min(this.#most.messages - this.#messages, Math.max(1, Math.floor((this.#most.bytes - this.#bytes) / Math.max(1, this.#size))));
  }

  /** Whether it may be given one more after so many that it is about to be given. */
  hasCredit({ messages, bytes }: Required<Credit>): boolean {
    return !this.#calling && this.#messages + messages < this.#most.messages && this.#bytes + bytes < this.#most.bytes;
  }

  give(payload: Uint8Array, lifetime?: number): void {
    this.#size += (payload.length - this.#size) / AVERAGED;
    this.#calling = true;
    try {
      const result: unknown = this.#call(payload, lifetime);
      if (result instanceof Promise) void this.#settle(result, payload.length);
    } catch (error) {
      this.#events.failed(error);
    } finally {
      this.#calling = false;
    }
  }

  async #settle(result: Promise<unknown>, bytes: number): Promise<void> {
    this.#messages += 1;
    this.#bytes += bytes;
    try {
      await result;
    } catch (error) {
      this.#events.failed(error);
    } finally {
      this.#messages -= 1;
      this.#bytes -= bytes;
      this.#events.freed();
    }
  }
}

/** Listeners of one channel, who take turns. */
export class Listeners {
  readonly #listeners: Listener[] = [];

  get size(): number {
    return this.#listeners.length;
  }

  /** How many messages all of them may be given, at most so many. */
  credit(most: number): number {
    let credit = 0;
    for (const listener of this.#listeners) credit += listener.credit;
    return Math.min(credit, most);
  }

  add(listener: Listener): void {
    this.#listeners.push(listener);
  }

  remove(listener: Listener): void {
    const index = this.#listeners.indexOf(listener);
    if (index !== -1) this.#listeners.splice(index, 1);
  }

  /** Whose turn it is, of those who have credit for more than they are about to be given. */
  next(about?: ReadonlyMap<Listener, Required<Credit>>): Listener | undefined {
    const index = this.#listeners.findIndex((listener) => listener.hasCredit(about?.get(listener) ?? NOTHING));
    if (index === -1) return undefined;
    const listener = this.#listeners[index] as Listener;
    if (this.#listeners.length > 1) {
      this.#listeners.splice(index, 1);
      this.#listeners.push(listener);
    }
    return listener;
  }
}
