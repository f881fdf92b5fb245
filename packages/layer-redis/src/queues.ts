import type { Buffer } from 'node:buffer';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isLayerError, type LayerLogger, type Taken } from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import { readElement } from './element.ts';
import { SCRIPTS } from './scripts.ts';
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

/**
 * Reads worker queues. A reader waits in `BLPOP` on a connection of its own, so that a busy queue never holds up a quiet one; the rest of a batch,
 * and the server's clock to judge it all by, come in the same round trip.
 */
export class Queues {
  readonly #expiryMs: number;
  readonly #logger: LayerLogger;
  readonly #idle: Lane[] = [];
  readonly #waits = new Map<Wait, Promise<readonly Taken[]>>();
  readonly #closing = new AbortController();
  #watch: NodeJS.Timeout | undefined;

  constructor(expiryMs: number, logger: LayerLogger) {
    this.#expiryMs = expiryMs;
    this.#logger = logger;
  }

  async pop(broker: Broker, key: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const wait: Wait = { aborted: signal.aborted || this.#closing.signal.aborted, lane: undefined, since: 0, told: false };
    this.#watch ??= setInterval(() => this.#endLate(), LATE_MS).unref();
    const onAbort = (): void => this.#abort(wait);
    signal.addEventListener('abort', onAbort, { once: true });
    const popped = this.#pop(wait, broker, key, max, signal);
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

  async #pop(wait: Wait, broker: Broker, key: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    while (!wait.aborted) {
      try {
        const elements = await this.#take(wait, broker.shardOf(key), key, max);
        if (elements.length > 0) return elements.map((element) => this.#taken(broker, key, element));
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
  async #take(wait: Wait, shard: Shard, key: string, max: number): Promise<readonly Buffer[]> {
    const lane = await this.#lane(shard);
    if (wait.aborted) {
      this.#release(lane);
      return [];
    }
    wait.lane = lane;
    wait.since = performance.now();
    try {
      const first = lane.connection.run('blpop', key, BLOCK_SECONDS) as Promise<[Buffer, Buffer] | null>;
      const rest = SCRIPTS.take.run(lane.connection, key, max - 1, this.#expiryMs) as Promise<Buffer[]>;
      const [popped, [clock, ...taken]] = await Promise.all([first, rest]);
      wait.lane = undefined;
      this.#release(lane);
      const now = Number(clock?.toString('latin1'));
      const isDue = popped !== null && (readElement(popped[1]).expiresAt ?? Infinity) > now;
      return isDue ? [popped[1], ...taken] : taken;
    } catch (error) {
      wait.lane = undefined;
      lane.connection.destroy('the queue could not be read through it');
      throw error;
    }
  }

  #taken(broker: Broker, key: string, element: Buffer): Taken {
    return {
      payload: readElement(element).payload,
      giveBack: async () => {
        try {
          await SCRIPTS.giveBack.run(broker.on(key), key, element, this.#expiryMs);
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
