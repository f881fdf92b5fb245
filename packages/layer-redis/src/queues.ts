import type { Buffer } from 'node:buffer';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isLayerError, type LayerLogger, type Taken } from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import { everyLook } from './looks.ts';
import { within } from './proof.ts';
import type { Batch, Demand, QueueForm } from './queue-form.ts';
import type { Shard } from './shard.ts';

/** A waiting reader speaks to the server this often, so that a connection that died silently is found. */
const BLOCK_SECONDS = 10;
/** How often waits are looked at. */
const LOOK_MS = 3000;
/** A server that has not answered at so many looks has gone, and so has the connection. */
const LATE_LOOKS = 5;
/** While Redis is away, it is tried again this often. */
const AGAIN_MS = 250;
const UNBLOCK_MS = 2;
/** How long a message that nobody wants any more is kept for a queue that is away. */
const GIVE_BACK_MS = 30_000;
/** Connections kept for the next reader. */
const MAX_IDLE = 4;

/** A connection on which one queue at a time is waited for. */
interface WaitConnection {
  readonly shard: Shard;
  readonly connection: Connection;
  /** Redis's id of the connection, by which another one can end its wait. */
  readonly id: number;
}

/** One `pop` under way. */
interface Wait {
  aborted: boolean;
  /** The connection on which it waits, and at how many looks it did. */
  lane: WaitConnection | undefined;
  looks: number;
  /** Whether it was said that the queue cannot be read. */
  told: boolean;
}

/**
 * Reads worker queues. A reader waits in `BLPOP` on a connection of its own, so that a busy queue never holds up a quiet one; the rest of a batch,
 * and the server's clock to judge it all by, come in the same round trip.
 */
export class Queues {
  readonly #logger: LayerLogger;
  readonly #idle: WaitConnection[] = [];
  readonly #waits = new Map<Wait, Promise<readonly Taken[]>>();
  readonly #closing = new AbortController();
  #stopWatch: (() => void) | undefined;

  constructor(logger: LayerLogger) {
    this.#logger = logger;
  }

  async pop<E>(broker: Broker, form: QueueForm<E>, key: string, demand: Demand, signal: AbortSignal): Promise<readonly Taken[]> {
    const wait: Wait = { aborted: signal.aborted || this.#closing.signal.aborted, lane: undefined, looks: 0, told: false };
    this.#stopWatch ??= everyLook(LOOK_MS, () => this.#endLate());
    const onAbort = (): void => this.#abort(wait);
    signal.addEventListener('abort', onAbort, { once: true });
    const popped = this.#pop(wait, broker, form, key, demand, signal);
    this.#waits.set(wait, popped);
    try {
      return await popped;
    } finally {
      this.#waits.delete(wait);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends every wait; resolves when what they had been given was given back. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#stopWatch?.();
    for (const wait of this.#waits.keys()) this.#abort(wait);
    await Promise.allSettled(this.#waits.values());
    // Their readers run now, and give back what nobody wants any more.
    await setImmediate();
    for (const lane of this.#idle.splice(0)) lane.connection.destroy('closed');
  }

  async #pop<E>(wait: Wait, broker: Broker, form: QueueForm<E>, key: string, demand: Demand, signal: AbortSignal): Promise<readonly Taken[]> {
    while (!wait.aborted) {
      try {
        const batch = await this.#take(wait, broker.shardOf(key), form, key, demand);
        if (batch.elements.length > 0) return this.#taken(broker, form, key, batch);
      } catch (error) {
        if (!isLayerError(error, 'LAYER_AWAY') && !isLayerError(error, 'OUTCOME_UNKNOWN')) throw error;
        if (!wait.told) this.#logger.warn('a queue cannot be read; trying on', { key, error: error.message });
        wait.told = true;
        await setTimeout(AGAIN_MS, undefined, { signal: AbortSignal.any([signal, this.#closing.signal]) }).catch(() => undefined);
      }
    }
    return [];
  }

  /** Waits for one message, and takes what else is wanted; none of it has expired. */
  async #take<E>(wait: Wait, shard: Shard, form: QueueForm<E>, key: string, demand: Demand): Promise<Batch<E>> {
    const lane = this.#reuse(shard) ?? (await this.#open(shard));
    if (wait.aborted) {
      this.#release(lane);
      return { elements: [] };
    }
    wait.lane = lane;
    wait.looks = 0;
    try {
      const batch = await form.take(lane.connection, key, BLOCK_SECONDS, demand);
      wait.lane = undefined;
      this.#release(lane);
      return batch;
    } catch (error) {
      wait.lane = undefined;
      shard.blame(error);
      lane.connection.destroy('the queue could not be read through it');
      throw error;
    }
  }

  /** What is given back of them in one turn goes back in one step. */
  #taken<E>(broker: Broker, form: QueueForm<E>, key: string, { elements, successor }: Batch<E>): readonly Taken[] {
    const giveBack = together<E, void>((youngestFirst) => this.#giveBack(broker, form, key, youngestFirst));
    const giveBackInOrder =
      successor === undefined ? undefined : together<E, boolean>((youngestFirst) => this.#giveBackInOrder(broker, form, key, youngestFirst, successor));
    return elements.map((element) => {
      const endsAt = form.endsAt(element);
      return {
        payload: form.payload(element),
        ...(endsAt === undefined ? {} : { endsAt }),
        giveBack: () => giveBack(element),
        ...(giveBackInOrder === undefined ? {} : { giveBackInOrder: () => giveBackInOrder(element) }),
      };
    });
  }

  /** False where they are still this process's. */
  async #giveBackInOrder<E>(broker: Broker, form: QueueForm<E>, key: string, youngestFirst: readonly E[], successor: Buffer): Promise<boolean> {
    try {
      return await form.giveBack(broker.on(key), key, youngestFirst, successor);
    } catch (error) {
      if (isLayerError(error, 'LAYER_AWAY')) return false;
      this.#lost(key, youngestFirst.length, error);
      return true;
    }
  }

  /** What Redis refused because it is away was certainly not put back, and is tried again. */
  async #giveBack<E>(broker: Broker, form: QueueForm<E>, key: string, youngestFirst: readonly E[]): Promise<void> {
    const until = performance.now() + GIVE_BACK_MS;
    for (;;) {
      try {
        await form.giveBack(broker.on(key), key, youngestFirst);
        return;
      } catch (error) {
        if (isLayerError(error, 'LAYER_AWAY') && performance.now() < until && !this.#closing.signal.aborted) {
          await setTimeout(AGAIN_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
          continue;
        }
        this.#lost(key, youngestFirst.length, error);
        return;
      }
    }
  }

  #lost(key: string, messages: number, error: unknown): void {
    this.#logger.error('messages could not be given back to their queue: they are lost', { key, messages, error: String(error) });
  }

  /** A connection that waits for its next use. */
  #reuse(shard: Shard): WaitConnection | undefined {
    for (;;) {
      const index = this.#idle.findIndex((lane) => lane.shard === shard);
      const lane = index === -1 ? undefined : this.#idle.splice(index, 1)[0];
      if (lane === undefined || lane.connection.alive) return lane;
    }
  }

  async #open(shard: Shard): Promise<WaitConnection> {
    const connection = await shard.connect();
    try {
      const id = (await within(connection, 'no answer to the first command', connection.run('client', 'ID'))) as number;
      return { shard, connection, id };
    } catch (error) {
      connection.destroy('not usable');
      throw error;
    }
  }

  #release(lane: WaitConnection): void {
    if (lane.connection.alive && this.#idle.length < MAX_IDLE && !this.#closing.signal.aborted) this.#idle.push(lane);
    else lane.connection.destroy('not needed');
  }

  #endLate(): boolean {
    for (const wait of this.#waits.keys()) {
      if (wait.lane === undefined) continue;
      wait.looks += 1;
      if (wait.looks >= LATE_LOOKS) wait.lane.connection.destroy('no answer to a wait');
    }
    return true;
  }

  #abort(wait: Wait): void {
    wait.aborted = true;
    const { lane } = wait;
    if (lane === undefined) return;
    void this.#unblock(wait, lane);
  }

  /** Ends the lane's wait; again where the server has not begun to wait yet. Where it cannot be told, it learns of it from the end of the connection. */
  async #unblock(wait: Wait, lane: WaitConnection): Promise<void> {
    try {
      while (wait.lane === lane && (await lane.shard.run('client', 'UNBLOCK', lane.id)) !== 1) await setTimeout(UNBLOCK_MS);
    } catch {
      if (wait.lane === lane) lane.connection.destroy('the wait was ended');
    }
  }
}

/** What it is called with in one turn is done in one step. */
function together<E, R>(step: (elements: readonly E[]) => Promise<R>): (element: E) => Promise<R> {
  let collected: E[] = [];
  let stepping: Promise<R> | undefined;
  return (element) => {
    collected.push(element);
    stepping ??= Promise.resolve().then(() => {
      const elements = collected;
      collected = [];
      stepping = undefined;
      return step(elements);
    });
    return stepping;
  };
}
