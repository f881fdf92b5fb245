import { JetStreamError } from './errors.ts';
import type { JetStream } from './jetstream.ts';
import type { Session } from './session.ts';

/** Clocks drift apart slowly. */
const GOOD_FOR_MS = 600_000;

/** Milliseconds since 1970 by the broker's clock, whatever this process's own says. */
export type BrokerTime = (session: Session) => Promise<number>;

interface Reading {
  /** The broker's clock less ours, in milliseconds. */
  readonly offset: number;
  readonly at: number;
}

/**
 * The broker's clock, as exact as half a round trip: read by keeping a message and asking when it was kept. Ours runs by
 * `performance.now`, which nobody can set.
 */
export class BrokerClock {
  readonly #jetStream: JetStream;
  readonly #keep: (session: Session) => Promise<string>;
  readonly #subject: string;
  #reading: Promise<Reading> | undefined;
  #session: Session | undefined;
  #offset = Date.now() - performance.now();

  /** `keep` keeps a message on `subject` and resolves with the name of the stream that has it. */
  constructor(jetStream: JetStream, subject: string, keep: (session: Session) => Promise<string>) {
    this.#jetStream = jetStream;
    this.#subject = subject;
    this.#keep = keep;
  }

  /** Milliseconds since 1970 by the last reading. */
  now(): number {
    return performance.now() + this.#offset;
  }

  /** Milliseconds since 1970 by a reading through this connection. */
  async read(session: Session): Promise<number> {
    await this.set(session);
    return this.now();
  }

  /** Resolves once the clock was read through this connection, lately enough. */
  async set(session: Session): Promise<void> {
    const known = this.#session === session ? await this.#reading?.catch(() => undefined) : undefined;
    if (known !== undefined && performance.now() - known.at < GOOD_FOR_MS) return;
    if (this.#session !== session || known !== undefined || this.#reading === undefined) {
      this.#session = session;
      this.#reading = this.#ask(session);
    }
    try {
      this.#offset = (await this.#reading).offset;
    } catch (error) {
      this.#reading = undefined;
      throw error;
    }
  }

  async #ask(session: Session): Promise<Reading> {
    const before = performance.now();
    const stream = await this.#keep(session);
    const after = performance.now();
    const kept = await this.#jetStream.message(session, stream, { last_by_subj: this.#subject });
    if (kept === undefined) throw new JetStreamError('tell the time', { description: 'what was kept to read it by is gone' });
    return { offset: kept.time - (before + after) / 2, at: after };
  }
}
