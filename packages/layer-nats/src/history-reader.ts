import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { unanswered } from './errors.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Session } from './session.ts';
import { type PagedMessage, readStretch } from './stream-pages.ts';
import { FEWEST, type Range, sweep, together, type Wanted } from './sweep.ts';

export type { PagedMessage } from './stream-pages.ts';

/** Messages asked for at a time. */
const PAGE = 256;
/** Rooms read at a time: a fleet that comes back would ask for thousands at once. */
const MOST_AT_ONCE = 16;
/** Of those who wait so many are looked at who may be read together. */
const MOST_TOGETHER = 2048;
/** So many messages are asked for one by one: that is cheaper than a consumer, which is on one server of a cluster or the other. */
const FEW = 16;
/** How often a leader that has less than is there is asked again, and how much longer each waits than the one before. */
const ATTEMPTS = 8;
const BEHIND_MS = 50;

interface WaitingStretch extends Wanted {
  readonly session: Session;
  readonly stream: StreamInfo;
  /** What was read for it together with others was not all. */
  isAlone: boolean;
  /** It has its turn to read, or `swept` is what was read for it. */
  readonly go: (swept?: readonly PagedMessage[]) => void;
}

/**
 * Reads what a stream has of one subject, from the server that leads it alone. The copies of others may have stayed behind, and more: a server of 2.9 that
 * was cut off while it led the stream may keep, in the place of what the others took meanwhile, what it alone had been sent. Those who wait for their
 * turn are read together where that is cheaper: thousands of rooms that are come back to cost a few requests each.
 */
export class HistoryReader {
  readonly #jetStream: JetStream;
  #waiting: WaitingStretch[] = [];
  /** Names of the streams that are read for many just now. */
  readonly #swept = new Set<string>();
  #reading = 0;

  constructor(jetStream: JetStream) {
    this.#jetStream = jetStream;
  }

  /**
   * Everything of the subject in a range whose end the stream has, and what came after it.
   * @throws LayerError OUTCOME_UNKNOWN where the leader does not give all of it
   */
  async read(session: Session, stream: StreamInfo, subject: string, range: Range): Promise<readonly PagedMessage[]> {
    const { name } = stream.config;
    const swept = await this.#turn(session, stream, { subject, range });
    if (swept !== undefined) return swept;
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
      this.#next();
    }
    throw unanswered(`the server that leads the stream ${name} has less of it than was there`);
  }

  async #readOnce(session: Session, stream: StreamInfo, subject: string, { from, to }: Range): Promise<readonly PagedMessage[]> {
    const { name } = stream.config;
    const first = await this.#oneByOne(session, name, subject, { from, to }, FEW);
    const last = first.at(-1)?.offset ?? 0;
    if (last >= to || first.length < FEW) return first;
    const rest: PagedMessage[] = [];
    const isRead = await readStretch(this.#jetStream, session, stream, { from: last + 1, to, subject, page: PAGE }, (kept) => rest.push(kept) > 0);
    return [...first, ...(isRead ? rest : await this.#oneByOne(session, name, subject, { from: last + 1, to }, Infinity))];
  }

  /** The leader alone answers. */
  async #oneByOne(session: Session, stream: string, subject: string, { from, to }: Range, most: number): Promise<readonly PagedMessage[]> {
    const kept: PagedMessage[] = [];
    for (let next = from; next <= to && kept.length < most; next += 1) {
      const message = await this.#jetStream.message(session, stream, { seq: next, next_by_subj: subject });
      if (message === undefined) break;
      kept.push({ offset: message.seq, time: message.time, payload: Buffer.from(message.data, 'base64') });
      next = message.seq;
    }
    return kept;
  }

  /** Resolves with what was read for it, or with undefined when it has its turn to read by itself, which it is to end. */
  #turn(session: Session, stream: StreamInfo, wanted: Wanted): Promise<readonly PagedMessage[] | undefined> {
    return new Promise((resolve) => {
      this.#waiting.push({ ...wanted, session, stream, isAlone: false, go: resolve });
      this.#next();
    });
  }

  /** As many turns as there are. While a stream is read for many, others of it wait for that. */
  #next(): void {
    for (let next = 0; next < this.#waiting.length && this.#reading < MOST_AT_ONCE;) {
      const waiter = this.#waiting[next] as WaitingStretch;
      const isBusy = !waiter.isAlone && this.#swept.has(waiter.stream.config.name);
      if (isBusy) next += 1;
      else if (!this.#sweepFor(waiter)) {
        this.#waiting.splice(next, 1);
        this.#reading += 1;
        waiter.go();
      }
    }
  }

  /** Whether it is read together with others. */
  #sweepFor(first: WaitingStretch): boolean {
    if (first.isAlone || this.#waiting.length < FEWEST) return false;
    const alike = this.#waiting.slice(0, MOST_TOGETHER).filter((other) => !other.isAlone && isSameStream(first, other));
    const chosen = together(first.stream, alike);
    if (!chosen.includes(first)) return false;
    this.#waiting = this.#waiting.filter((waiter) => !chosen.includes(waiter));
    this.#reading += 1;
    void this.#sweep(first, chosen);
    return true;
  }

  async #sweep({ session, stream }: WaitingStretch, chosen: readonly WaitingStretch[]): Promise<void> {
    const { name } = stream.config;
    this.#swept.add(name);
    // What hinders it hinders each of them, who says so.
    const found = await sweep(this.#jetStream, session, stream, chosen).catch(() => []);
    this.#swept.delete(name);
    this.#reading -= 1;
    const alone: WaitingStretch[] = [];
    for (const [index, waiter] of chosen.entries()) {
      const swept = found[index];
      if (swept !== undefined) waiter.go(swept);
      else alone.push({ ...waiter, isAlone: true });
    }
    this.#waiting.unshift(...alone);
    this.#next();
  }
}

/** Whether both were told of the same stream, and of the same server that leads it. */
function isSameStream(a: WaitingStretch, b: WaitingStretch): boolean {
  return (
    a.session === b.session &&
    a.stream.config.name === b.stream.config.name &&
    a.stream.created === b.stream.created &&
    a.stream.cluster?.leader === b.stream.cluster?.leader
  );
}
