import type { Buffer } from 'node:buffer';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isLayerError, type LayerLogger, type Taken } from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import { readElement } from './element.ts';
import { SCRIPTS, type Runner } from './scripts.ts';
import type { Shard } from './shard.ts';

/** A waiting reader speaks to the server this often, so that a connection that died silently is found. */
const BLOCK_SECONDS = 10;
/** A server that is later than that with its answer has gone, and so has the connection. */
const LATE_MS = 3000;
/** While Redis is away, it is tried again this often. */
const AGAIN_MS = 250;
/** Connections kept for the next reader. */
const MAX_IDLE = 4;

/** A connection on which one queue at a time is waited for. */
interface Lane {
  readonly shard: Shard;
  readonly connection: Connection;
  /** Redis's id of the connection, by which another one can end its wait. */
  readonly id: number;
}

/** One `pop` under way. */
interface Wait {
  aborted: boolean;
  /** The connection on which it waits, and since when. */
  lane: Lane | undefined;
  since: number;
  /** Whether it was said that the queue cannot be read. */
  told: boolean;
}

/** How the elements of a queue are stored. `E` is one of them, as it was read. */
export interface QueueForm<E> {
  /** Waits for the first element; null where none came in that time. */
  first(connection: Connection, key: string, seconds: number): Promise<unknown>;
  /** Takes up to `max` more without waiting, and whatever is needed to judge the first. */
  rest(connection: Connection, key: string, max: number): Promise<unknown>;
  /** Both answers as elements that are due, oldest first. */
  join(first: unknown, rest: unknown): readonly E[];
  payload(element: E): Uint8Array;
  giveBack(runner: Runner, key: string, element: E): Promise<unknown>;
}

/** Lists, with the deadline in the element. */
export class ListForm implements QueueForm<Buffer> {
  readonly #expiryMs: number;

  constructor(expiryMs: number) {
    this.#expiryMs = expiryMs;
  }

  first(connection: Connection, key: string, seconds: number): Promise<unknown> {
    return connection.run('blpop', key, seconds);
  }

  rest(connection: Connection, key: string, max: number): Promise<unknown> {
    return SCRIPTS.take.run(connection, key, max, this.#expiryMs);
  }

  join(first: unknown, rest: unknown): readonly Buffer[] {
    const [clock, ...taken] = rest as Buffer[];
    const popped = (first as [Buffer, Buffer] | null)?.[1];
    const isDue = popped !== undefined && (readElement(popped).expiresAt ?? Infinity) > Number(clock?.toString('latin1'));
    return isDue ? [popped, ...taken] : taken;
  }

  payload(element: Buffer): Uint8Array {
    return readElement(element).payload;
  }

  giveBack(runner: Runner, key: string, element: Buffer): Promise<unknown> {
    return SCRIPTS.giveBack.run(runner, key, element, this.#expiryMs);
  }
}

/**
 * Reads worker queues. A reader waits in `BLPOP` on a connection of its own, so that a busy queue never holds up a quiet one; the rest of a batch,
 * and the server's clock to judge it all by, come in the same round trip.
 */
export class Queues {
  readonly #logger: LayerLogger;
  readonly #idle: Lane[] = [];
  readonly #waits = new Map<Wait, Promise<readonly Taken[]>>();
  readonly #closing = new AbortController();
  #watch: NodeJS.Timeout | undefined;

  constructor(logger: LayerLogger) {
    this.#logger = logger;
  }

  async pop<E>(broker: Broker, form: QueueForm<E>, key: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const wait: Wait = { aborted: signal.aborted || this.#closing.signal.aborted, lane: undefined, since: 0, told: false };
    this.#watch ??= setInterval(() => this.#endLate(), LATE_MS).unref();
    const onAbort = (): void => this.#abort(wait);
    signal.addEventListener('abort', onAbort, { once: true });
    const popped = this.#pop(wait, broker, form, key, max, signal);
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
    clearInterval(this.#watch);
    for (const wait of this.#waits.keys()) this.#abort(wait);
    await Promise.allSettled(this.#waits.values());
    // Their readers run now, and give back what nobody wants any more.
    await setImmediate();
    for (const lane of this.#idle.splice(0)) lane.connection.destroy('closed');
  }

  async #pop<E>(wait: Wait, broker: Broker, form: QueueForm<E>, key: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    while (!wait.aborted) {
      try {
        const elements = await this.#take(wait, broker.shardOf(key), form, key, max);
        if (elements.length > 0) return elements.map((element) => this.#taken(broker, form, key, element));
      } catch (error) {
        if (!isLayerError(error, 'LAYER_AWAY') && !isLayerError(error, 'OUTCOME_UNKNOWN')) throw error;
        if (!wait.told) this.#logger.warn('a queue cannot be read; trying on', { key, error: error.message });
        wait.told = true;
        await setTimeout(AGAIN_MS, undefined, { signal: AbortSignal.any([signal, this.#closing.signal]) }).catch(() => undefined);
      }
    }
    return [];
  }

  /** Waits for one message, and takes what else there is up to `max`; none of it has expired. */
  async #take<E>(wait: Wait, shard: Shard, form: QueueForm<E>, key: string, max: number): Promise<readonly E[]> {
    const lane = await this.#lane(shard);
    if (wait.aborted) {
      this.#release(lane);
      return [];
    }
    wait.lane = lane;
    wait.since = performance.now();
    try {
      const answers = [form.first(lane.connection, key, BLOCK_SECONDS), form.rest(lane.connection, key, max - 1)];
      const [first, rest] = await Promise.all(answers);
      wait.lane = undefined;
      this.#release(lane);
      return form.join(first, rest);
    } catch (error) {
      wait.lane = undefined;
      lane.connection.destroy('the queue could not be read through it');
      throw error;
    }
  }

  #taken<E>(broker: Broker, form: QueueForm<E>, key: string, element: E): Taken {
    return {
      payload: form.payload(element),
      giveBack: async () => {
        try {
          await form.giveBack(broker.on(key), key, element);
        } catch (error) {
          this.#logger.error('a message could not be given back to its queue: it is lost', { key, error: String(error) });
        }
      },
    };
  }

  async #lane(shard: Shard): Promise<Lane> {
    for (;;) {
      const index = this.#idle.findIndex((lane) => lane.shard === shard);
      const lane = index === -1 ? undefined : this.#idle.splice(index, 1)[0];
      if (lane === undefined) break;
      if (lane.connection.alive) return lane;
    }
    const connection = await shard.connect();
    const id = (await connection.run('client', 'ID')) as number;
    return { shard, connection, id };
  }

  #release(lane: Lane): void {
    if (lane.connection.alive && this.#idle.length < MAX_IDLE && !this.#closing.signal.aborted) this.#idle.push(lane);
    else lane.connection.destroy('not needed');
  }

  #endLate(): void {
    const latest = performance.now() - BLOCK_SECONDS * 1000 - LATE_MS;
    for (const { lane, since } of this.#waits.keys()) if (since < latest) lane?.connection.destroy('no answer to a wait');
  }

  #abort(wait: Wait): void {
    wait.aborted = true;
    const { lane } = wait;
    if (lane === undefined) return;
    // Where the server cannot be told, it learns of it from the end of the connection.
    lane.shard.run('client', 'UNBLOCK', lane.id).catch(() => lane.connection.destroy('the wait was ended'));
  }
}
