import type { Buffer } from 'node:buffer';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isLayerError, type LayerLogger, type Taken } from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import { readElement, type Element } from './element.ts';
import { SCRIPTS, type Runner } from './scripts.ts';
import type { Shard } from './shard.ts';

/** A waiting reader speaks to the server this often, so that a connection that died silently is found. */
const BLOCK_SECONDS = 10;
/** A server that is later than that with its answer has gone, and so has the connection. */
const LATE_MS = 3000;
/** While Redis is away, it is tried again this often. */
const AGAIN_MS = 250;
const UNBLOCK_MS = 2;
/** How long a message that nobody wants any more is kept for a queue that is away. */
const GIVE_BACK_MS = 30_000;
/** What expires sooner than that is judged by the server's clock asked anew; for all else one that was asked lately is good enough. */
const DOUBT_MS = 5000;
const CLOCK_MS = 10_000;
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
  /** Waits for the first message, and takes up to `max` in one round trip; none that has expired, and none at all where none came in that time. */
  take(connection: Connection, key: string, seconds: number, max: number): Promise<readonly E[]>;
  payload(element: E): Uint8Array;
  giveBack(runner: Runner, key: string, element: E): Promise<unknown>;
}

/** An element of a list, as it stood there and taken apart. */
interface Listed extends Element {
  readonly raw: Buffer;
}

/** Lists, with the deadline in the element. */
export class ListForm implements QueueForm<Listed> {
  readonly #expiryMs: number;
  readonly #clocks = new WeakMap<Connection, Clock>();

  constructor(expiryMs: number) {
    this.#expiryMs = expiryMs;
  }

  async take(connection: Connection, key: string, seconds: number, max: number): Promise<readonly Listed[]> {
    const first = connection.run('blpop', key, seconds) as Promise<[Buffer, Buffer] | null>;
    if (max > 1) return this.#batch(connection, key, max, first);
    const clock = this.#clocks.get(connection);
    const known = clock !== undefined && this.#expiryMs > 2 * DOUBT_MS && performance.now() < clock.readUntil;
    const asked = known ? undefined : this.#askClock(connection);
    asked?.catch(() => undefined);
    const popped = await first;
    if (popped === null) return [];
    const head = listed(popped[1]);
    if (head.expiresAt === undefined) {
      void this.#takeMore(connection, key, 0).catch(() => undefined);
      return [head];
    }
    if (known && head.expiresAt - clock.ahead - performance.now() > DOUBT_MS) return [head];
    const { ahead } = await (asked ?? this.#askClock(connection));
    return head.expiresAt > ahead + performance.now() ? [head] : [];
  }

  payload({ payload }: Listed): Uint8Array {
    return payload;
  }

  giveBack(runner: Runner, key: string, { raw }: Listed): Promise<unknown> {
    return SCRIPTS.giveBack.run(runner, key, raw, this.#expiryMs);
  }

  async #batch(connection: Connection, key: string, max: number, first: Promise<[Buffer, Buffer] | null>): Promise<readonly Listed[]> {
    const [popped, [clock, ...elements]] = await Promise.all([first, this.#takeMore(connection, key, max - 1)]);
    const others = elements.map(listed);
    if (popped === null) return others;
    const head = listed(popped[1]);
    return (head.expiresAt ?? Infinity) > Number(clock) ? [head, ...others] : others;
  }

  /** The server's clock, then up to `max` elements that have not expired. The script also gives a time to live to a queue that a plain `RPUSH` began. */
  async #takeMore(connection: Connection, key: string, max: number): Promise<readonly Buffer[]> {
    return (await SCRIPTS.take.run(connection, key, max, this.#expiryMs)) as Buffer[];
  }

  async #askClock(connection: Connection): Promise<Clock> {
    const [seconds, micros] = (await connection.run('time')) as [Buffer, Buffer];
    const now = performance.now();
    const clock = { ahead: Number(seconds) * 1000 + Number(micros) / 1000 - now, readUntil: now + CLOCK_MS };
    this.#clocks.set(connection, clock);
    return clock;
  }
}

/** How far a server's clock is ahead of this process's own, and until when that is believed. */
interface Clock {
  readonly ahead: number;
  readonly readUntil: number;
}

function listed(raw: Buffer): Listed {
  return { raw, ...readElement(raw) };
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
    const lane = this.#reuse(shard) ?? (await this.#open(shard));
    if (wait.aborted) {
      this.#release(lane);
      return [];
    }
    wait.lane = lane;
    wait.since = performance.now();
    try {
      const elements = await form.take(lane.connection, key, BLOCK_SECONDS, max);
      wait.lane = undefined;
      this.#release(lane);
      return elements;
    } catch (error) {
      wait.lane = undefined;
      lane.connection.destroy('the queue could not be read through it');
      throw error;
    }
  }

  #taken<E>(broker: Broker, form: QueueForm<E>, key: string, element: E): Taken {
    return {
      payload: form.payload(element),
      giveBack: () => this.#giveBack(broker, form, key, element),
    };
  }

  /** What Redis refused because it is away was certainly not put back, and is tried again. */
  async #giveBack<E>(broker: Broker, form: QueueForm<E>, key: string, element: E): Promise<void> {
    const until = performance.now() + GIVE_BACK_MS;
    for (;;) {
      try {
        await form.giveBack(broker.on(key), key, element);
        return;
      } catch (error) {
        if (isLayerError(error, 'LAYER_AWAY') && performance.now() < until && !this.#closing.signal.aborted) {
          await setTimeout(AGAIN_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
          continue;
        }
        this.#logger.error('a message could not be given back to its queue: it is lost', { key, error: String(error) });
        return;
      }
    }
  }

  /** A connection that waits for its next use. */
  #reuse(shard: Shard): Lane | undefined {
    for (;;) {
      const index = this.#idle.findIndex((lane) => lane.shard === shard);
      const lane = index === -1 ? undefined : this.#idle.splice(index, 1)[0];
      if (lane === undefined || lane.connection.alive) return lane;
    }
  }

  async #open(shard: Shard): Promise<Lane> {
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
    void this.#unblock(wait, lane);
  }

  /** Ends the lane's wait; again where the server has not begun to wait yet. Where it cannot be told, it learns of it from the end of the connection. */
  async #unblock(wait: Wait, lane: Lane): Promise<void> {
    try {
      while (wait.lane === lane && (await lane.shard.run('client', 'UNBLOCK', lane.id)) !== 1) await setTimeout(UNBLOCK_MS);
    } catch {
      if (wait.lane === lane) lane.connection.destroy('the wait was ended');
    }
  }
}
