import { setTimeout as delay } from 'node:timers/promises';
import type { Arrival } from './connection.ts';
import { unanswered } from './errors.ts';
import { nanoseconds, type JetStream } from './jetstream.ts';
import { REQUEST_TIMEOUT_MS, type Session } from './session.ts';

/** Messages asked for at a time, and their bytes, so that a large history does not choke the connection. */
const PAGE = 256;
const PAGE_BYTES = 8 * 1_048_576;
/** Rooms read at a time: a fleet that comes back would ask for thousands at once. */
const MOST_AT_ONCE = 16;
const INACTIVE_MS = 10_000;
/** How many consumers are tried where one gives less than is there, and how much longer each waits than the one before. */
const ATTEMPTS = 8;
const BEHIND_MS = 50;

/** A message of a stream. */
export interface Kept {
  readonly offset: number;
  /** Milliseconds of the broker's clock. */
  readonly time: number;
  readonly payload: Uint8Array;
}

/** Reads what a stream has of one subject, through a consumer that is there for that alone. */
export class HistoryReader {
  readonly #jetStream: JetStream;
  readonly #waiting: (() => void)[] = [];
  #reading = 0;

  constructor(jetStream: JetStream) {
    this.#jetStream = jetStream;
  }

  /**
   * Everything of the subject from one sequence on, up to another one at least, which the stream has. A consumer may be given to a server whose copy of
   * the stream has stayed behind: then another one is asked.
   * @throws LayerError OUTCOME_UNKNOWN where none gives all of it
   */
  async read(session: Session, stream: string, subject: string, from: number, to: number): Promise<readonly Kept[]> {
    await this.#enter();
    try {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const kept = await this.#readOnce(session, stream, subject, from, to);
        if ((kept.at(-1)?.offset ?? 0) >= to) return kept;
        const newest = await this.#jetStream.message(session, stream, { last_by_subj: subject });
        if (newest === undefined || newest.seq < to) return kept;
        await delay(BEHIND_MS * attempt);
      }
    } finally {
      this.#reading -= 1;
      this.#waiting.shift()?.();
    }
    throw unanswered(`the servers that were asked for the stream ${stream} have less of it than its leader`);
  }

  async #readOnce(session: Session, stream: string, subject: string, from: number, to: number): Promise<readonly Kept[]> {
    const consumer = await this.#jetStream.ephemeralConsumer(session, stream, {
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      filter_subject: subject,
      replay_policy: 'instant',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanoseconds(INACTIVE_MS),
    });
    try {
      return consumer.num_pending === 0 ? [] : await this.#pages(session, stream, consumer.name, to);
    } finally {
      this.#jetStream.dropConsumer(session, stream, consumer.name);
    }
  }

  async #pages(session: Session, stream: string, consumer: string, to: number): Promise<readonly Kept[]> {
    const kept: Kept[] = [];
    let pending = 1;
    while (pending > 0 && (kept.at(-1)?.offset ?? 0) < to) {
      pending = await this.#page(session, stream, consumer, kept);
    }
    return kept;
  }

  /** Resolves with how many are left. */
  async #page(session: Session, stream: string, consumer: string, kept: Kept[]): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    let left = PAGE;
    let pending = 0;
    const timer = setTimeout(() => reject(unanswered(`reading the stream ${stream}`)), REQUEST_TIMEOUT_MS);
    const { reply, close } = session.channel((arrival) => {
      if (arrival.status !== 0) {
        // Larger than the page allows what is left over stays for the next one; anything else is the end.
        resolve(arrival.status === 409 && left < PAGE ? Math.max(pending, 1) : 0);
        return;
      }
      const message = readKept(arrival);
      kept.push(message);
      pending = message.pending;
      left -= 1;
      if (left === 0 || pending === 0) resolve(pending);
    });
    void session.connection.ended.then((reason) => reject(unanswered(reason)));
    try {
      const maxBytes = Math.max(PAGE_BYTES, 2 * session.connection.facts.maxPayload);
      const request = { batch: PAGE, no_wait: true, max_bytes: maxBytes };
      this.#jetStream.pull(session, stream, consumer, request, `${reply}.1`);
      return await promise;
    } finally {
      clearTimeout(timer);
      if (session.ended === undefined) close();
    }
  }

  async #enter(): Promise<void> {
    if (this.#reading >= MOST_AT_ONCE) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
    this.#reading += 1;
  }
}

function readKept({ reply, payload }: Arrival): Kept & { readonly pending: number } {
  const tokens = reply.split('.');
  const from = tokens.length >= 11 ? 6 : 4;
  return { offset: Number(tokens[from + 1]), time: Number(tokens[from + 3]) / 1e6, payload, pending: Number(tokens[from + 4]) };
}
