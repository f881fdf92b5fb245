import type { Buffer } from 'node:buffer';
import type { Connection } from './connection.ts';
import { readElement, type Element } from './element.ts';
import { SCRIPTS, type Runner } from './scripts.ts';

/** What expires sooner than that is judged by the server's clock asked anew; for all else one that was asked lately is good enough. */
const DOUBT_MS = 5000;
const CLOCK_MS = 10_000;

/**
 * How many messages of a queue are taken beyond those asked for, where its readers are quick: with 16 of them in a round trip it no longer is what a
 * message costs. More would gain little, and would be lost with a process that is killed.
 */
export const READ_AHEAD = 15;

/** How the elements of a queue are stored. `E` is one of them, as it was read. */
export interface QueueForm<E> {
  /** Waits for the first message, and takes up to `max` in one round trip; none that has expired, and none at all where none came in that time. */
  take(connection: Connection, key: string, seconds: number, max: number): Promise<readonly E[]>;
  payload(element: E): Uint8Array;
  /** When it expires, on this process's `performance.now()`, where its form says so. */
  endsAt(element: E): number | undefined;
  /** Puts elements back at the head in one step. */
  giveBack(runner: Runner, key: string, youngestFirst: readonly E[]): Promise<unknown>;
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

  endsAt({ expiresAt, ahead }: Listed): number | undefined {
    return expiresAt === undefined || ahead === undefined ? undefined : expiresAt - ahead;
  }

  giveBack(runner: Runner, key: string, youngestFirst: readonly Listed[]): Promise<unknown> {
    return SCRIPTS.giveBack.run(runner, key, this.#expiryMs, ...youngestFirst.map(({ raw }) => raw));
  }

  async #batch(connection: Connection, key: string, max: number, first: Promise<[Buffer, Buffer] | null>): Promise<readonly Listed[]> {
    const [popped, [clock, ...elements]] = await Promise.all([first, this.#takeMore(connection, key, max - 1)]);
    const ahead = Number(clock) - performance.now();
    const others = elements.map((raw) => ({ ...readElement(raw), raw, ahead }));
    if (popped === null) return others;
    const head = { ...listed(popped[1]), ahead };
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
