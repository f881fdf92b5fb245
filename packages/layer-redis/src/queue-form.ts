import type { Buffer } from 'node:buffer';
import type { ReadAheadLimits } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';
import { readElement, type Element } from './element.ts';
import { SCRIPTS, type Runner } from './scripts.ts';

/** What expires sooner than that is judged by the server's clock asked anew; for all else one that was asked lately is good enough. */
const CLOSE_END_MS = 5000;
const CLOCK_MS = 10_000;

/**
 * How many messages of a queue are taken beyond those asked for, where its readers are quick: with 16 of them in a round trip it no longer is what a
 * message costs. More would gain little, and would be lost with a process that is killed.
 */
export const READ_AHEAD: ReadAheadLimits = { most: 15, proof: 512 };

/** How many messages a pop is for. */
export interface Demand {
  /** How many are waited for. */
  readonly max: number;
  /** How many more may be taken. */
  readonly ahead: number;
}

/** What one pop took. */
export interface Batch<E> {
  readonly elements: readonly E[];
  /** Where more were taken than were waited for: by what it is known what was then left at the head. */
  readonly successor?: Buffer;
}

/** How the elements of a queue are stored. `E` is one of them, as it was read. */
export interface QueueForm<E> {
  /** Waits for the first message, and takes the others in one round trip; none that has expired, and none at all where none came in that time. */
  take(connection: Connection, key: string, seconds: number, demand: Demand): Promise<Batch<E>>;
  payload(element: E): Uint8Array;
  /** When it expires, on this process's `performance.now()`, where its form says so. */
  endsAt(element: E): number | undefined;
  /** Puts elements back at the head in one step; with `successor` only where that is still there, so that nobody has taken a later one: else false. */
  giveBack(runner: Runner, key: string, youngestFirst: readonly E[], successor?: Buffer): Promise<boolean>;
}

/** An element of a list, as it stood there and taken apart. */
interface Listed extends Element {
  readonly raw: Buffer;
  /** How far the server's clock was ahead of this process's when it was taken; absent where it was taken alone. */
  readonly ahead?: number;
}

/** Lists, with the deadline in the element. */
export class ListForm implements QueueForm<Listed> {
  readonly #expiryMs: number;
  readonly #clocks = new WeakMap<Connection, ClockReading>();

  constructor(expiryMs: number) {
    this.#expiryMs = expiryMs;
  }

  async take(connection: Connection, key: string, seconds: number, demand: Demand): Promise<Batch<Listed>> {
    const first = connection.run('blpop', key, seconds) as Promise<[Buffer, Buffer] | null>;
    if (demand.max + demand.ahead > 1) return this.#batch(connection, key, demand, first);
    return { elements: await this.#one(connection, key, first) };
  }

  payload({ payload }: Listed): Uint8Array {
    return payload;
  }

  endsAt({ expiresAt, ahead }: Listed): number | undefined {
    return expiresAt === undefined || ahead === undefined ? undefined : expiresAt - ahead;
  }

  async giveBack(runner: Runner, key: string, youngestFirst: readonly Listed[], successor?: Buffer): Promise<boolean> {
    return (await SCRIPTS.giveBack.run(runner, key, this.#expiryMs, successor ?? '', ...youngestFirst.map(({ raw }) => raw))) === 1;
  }

  async #one(connection: Connection, key: string, first: Promise<[Buffer, Buffer] | null>): Promise<readonly Listed[]> {
    const clock = this.#clocks.get(connection);
    const known = clock !== undefined && this.#expiryMs > 2 * CLOSE_END_MS && performance.now() < clock.readUntil;
    const asked = known ? undefined : this.#askClock(connection);
    asked?.catch(() => undefined);
    const popped = await first;
    if (popped === null) return [];
    const head = listed(popped[1]);
    if (head.expiresAt === undefined) {
      void this.#takeMore(connection, key, 0, 0).catch(() => undefined);
      return [head];
    }
    if (known && head.expiresAt - clock.ahead - performance.now() > CLOSE_END_MS) return [head];
    const { ahead } = await (asked ?? this.#askClock(connection));
    return head.expiresAt > ahead + performance.now() ? [head] : [];
  }

  async #batch(connection: Connection, key: string, demand: Demand, first: Promise<[Buffer, Buffer] | null>): Promise<Batch<Listed>> {
    const [popped, rest] = await Promise.allSettled([first, this.#takeMore(connection, key, demand.max - 1, demand.ahead)]);
    // Where the slot went away between the two steps, what the first one took is in hand all the same.
    if (rest.status === 'rejected') return { elements: await this.#one(connection, key, first) };
    const [clock, successor, ...elements] = rest.value;
    if (popped.status === 'rejected' && elements.length === 0) throw popped.reason;
    const ahead = Number(clock) - performance.now();
    const others = elements.map((raw) => ({ ...readElement(raw), raw, ahead }));
    const head = popped.status === 'rejected' || popped.value === null ? undefined : { ...listed(popped.value[1]), ahead };
    const living = head !== undefined && (head.expiresAt ?? Infinity) > Number(clock);
    return { elements: living ? [head, ...others] : others, ...(successor.length === 0 ? {} : { successor }) };
  }

  /**
   * The server's clock, by what the next one is known, then up to `max` elements that have not expired, and `ahead` more where one at least is left. The
   * script also gives a time to live to a queue that a plain `RPUSH` began.
   */
  async #takeMore(connection: Connection, key: string, max: number, ahead: number): Promise<readonly [Buffer, Buffer, ...Buffer[]]> {
    return (await SCRIPTS.take.run(connection, key, max, this.#expiryMs, ahead)) as [Buffer, Buffer, ...Buffer[]];
  }

  async #askClock(connection: Connection): Promise<ClockReading> {
    const [seconds, micros] = (await connection.run('time')) as [Buffer, Buffer];
    const now = performance.now();
    const clock = { ahead: Number(seconds) * 1000 + Number(micros) / 1000 - now, readUntil: now + CLOCK_MS };
    this.#clocks.set(connection, clock);
    return clock;
  }
}

/** How far a server's clock is ahead of this process's own, and until when that is believed. */
interface ClockReading {
  readonly ahead: number;
  readonly readUntil: number;
}

function listed(raw: Buffer): Listed {
  return { raw, ...readElement(raw) };
}
