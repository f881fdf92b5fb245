import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { withResolvers, Patience } from '@busgate/layer/driver';
import type { Arrival } from './connection.ts';
import { unanswered } from './errors.ts';
import { nanoseconds, type ConsumerInfo, type JetStream, type StreamInfo } from './jetstream.ts';
import { REQUEST_TIMEOUT_MS, outcome, type Session } from './session.ts';

/** Messages asked for at a time, and their bytes, so that a large history does not choke the connection. */
const PAGE = 256;
const PAGE_BYTES = 8 * 1_048_576;
/** Rooms read at a time: a fleet that comes back would ask for thousands at once. */
const MOST_AT_ONCE = 16;
const INACTIVE_MS = 10_000;
/** So many messages are asked for one by one: that is cheaper than a consumer, which is on one server of a cluster or the other. */
const FEW = 16;
/** How many consumers are made until one is on the server that leads the stream. */
const PLACINGS = 12;
/** How often a leader that has less than is there is asked again, and how much longer each waits than the one before. */
const ATTEMPTS = 8;
const BEHIND_MS = 50;

/** A message of a stream. */
export interface Kept {
  readonly offset: number;
  /** Milliseconds of the broker's clock. */
  readonly time: number;
  readonly payload: Uint8Array;
}

/** Sequences of a stream, both included. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Reads what a stream has of one subject, from the server that leads it alone. The copies of others may have stayed behind, and more: a server of 2.9 that
 * was cut off while it led the stream may keep, in the place of what the others took meanwhile, what it alone had been sent.
 */
export class HistoryReader {
  readonly #jetStream: JetStream;
  readonly #waiting: (() => void)[] = [];
  #reading = 0;

  constructor(jetStream: JetStream) {
    this.#jetStream = jetStream;
  }

  /**
   * Everything of the subject in a range whose end the stream has, and what came after it.
   * @throws LayerError OUTCOME_UNKNOWN where the leader does not give all of it
   */
  async read(session: Session, stream: StreamInfo, subject: string, range: Range): Promise<readonly Kept[]> {
    const { name } = stream.config;
    await this.#enter();
    try {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const kept = await this.#readOnce(session, stream, subject, range);
        if ((kept.at(-1)?.offset ?? 0) >= range.to) return kept;
        const newest = await this.#jetStream.message(session, name, { last_by_subj: subject });
        if (newest === undefined || newest.seq < range.to) return kept;
        await delay(BEHIND_MS * attempt);
      }
    } finally {
      this.#reading -= 1;
      this.#waiting.shift()?.();
    }
    throw unanswered(`the server that leads the stream ${name} has less of it than was there`);
  }

  async #readOnce(session: Session, stream: StreamInfo, subject: string, { from, to }: Range): Promise<readonly Kept[]> {
    const { name } = stream.config;
    const first = await this.#oneByOne(session, name, subject, { from, to }, FEW);
    const last = first.at(-1)?.offset ?? 0;
    if (last >= to || first.length < FEW) return first;
    const rest = { from: last + 1, to };
    const consumer = await this.#consumerAtLeader(session, stream, subject, rest.from);
    if (consumer === undefined) return [...first, ...(await this.#oneByOne(session, name, subject, rest, Infinity))];
    try {
      return [...first, ...(consumer.num_pending === 0 ? [] : await this.#pages(session, name, consumer.name, to))];
    } finally {
      this.#jetStream.dropConsumer(session, name, consumer.name);
    }
  }

  /** The leader alone answers. */
  async #oneByOne(session: Session, stream: string, subject: string, { from, to }: Range, most: number): Promise<readonly Kept[]> {
    const kept: Kept[] = [];
    for (let next = from; next <= to && kept.length < most; next += 1) {
      const message = await this.#jetStream.message(session, stream, { seq: next, next_by_subj: subject });
      if (message === undefined) break;
      kept.push({ offset: message.seq, time: message.time, payload: Buffer.from(message.data, 'base64') });
      next = message.seq;
    }
    return kept;
  }

  /** Servers place a consumer at random; undefined where none of ours was placed well, as when another server leads the stream by now. */
  async #consumerAtLeader(session: Session, { config: { name }, cluster }: StreamInfo, subject: string, from: number): Promise<ConsumerInfo | undefined> {
    for (let placed = 0; placed < PLACINGS; placed += 1) {
      const consumer = await this.#jetStream.ephemeralConsumer(session, name, {
        ack_policy: 'none',
        deliver_policy: 'by_start_sequence',
        opt_start_seq: from,
        filter_subject: subject,
        replay_policy: 'instant',
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: nanoseconds(INACTIVE_MS),
      });
      if (consumer.cluster?.leader === cluster?.leader) return consumer;
      this.#jetStream.dropConsumer(session, name, consumer.name);
    }
    return undefined;
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
    const { promise, resolve, reject } = outcome<number>();
    let left = PAGE;
    let pending = 0;
    const patience = new Patience(REQUEST_TIMEOUT_MS, () => reject(unanswered(`reading the stream ${stream}`)));
    const channel = session.channel((arrival) => {
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
    const forget = session.onEnd(reject);
    try {
      const maxBytes = Math.max(PAGE_BYTES, 2 * session.connection.facts.maxPayload);
      const request = { batch: PAGE, no_wait: true, max_bytes: maxBytes };
      this.#jetStream.pull(session, stream, consumer, request, `${channel.reply}.1`);
      return await promise;
    } finally {
      patience.end();
      forget();
      channel.end();
    }
  }

  async #enter(): Promise<void> {
    if (this.#reading >= MOST_AT_ONCE) {
      const { promise, resolve } = withResolvers<void>();
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
