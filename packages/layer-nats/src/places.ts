import { Buffer } from 'node:buffer';
import type { BrokerClock } from './broker-clock.ts';
import type { JetStream, StoredMessage, StreamInfo } from './jetstream.ts';
import { isTooLargeForHeaders, lifetimeOf } from './lifetime.ts';
import type { Session } from './session.ts';

/** So long, in milliseconds, messages are looked at for one sender who finds a queue full; the next one goes on from there. */
const LOOK_MS = 100;
/** Messages that are removed at once. */
const SLICE = 128;

interface QueuedPlace {
  readonly sequence: number;
  readonly endsAt: number;
}

/** What was seen of a queue that was full, oldest first, up to a sequence. */
interface SeenPlaces {
  readonly waiting: readonly QueuedPlace[];
  readonly upTo: number;
}

/**
 * Frees the places that expired messages hold in queues that are full, wherever they stand: the server knows only the longest that any message may live. Each
 * message of a full queue is looked at once by each process that finds it full.
 */
export class Places {
  readonly #jetStream: JetStream;
  readonly #clock: BrokerClock;
  readonly #expiryMs: number;
  readonly #seen = new Map<string, SeenPlaces>();
  /** When the stream was made whose sequences are known. */
  #made = '';

  /** `expiryMs`: how long a message lives here that had no room to say it. */
  constructor(parts: { readonly jetStream: JetStream; readonly clock: BrokerClock }, expiryMs: number) {
    this.#jetStream = parts.jetStream;
    this.#clock = parts.clock;
    this.#expiryMs = expiryMs;
  }

  /** Whether there is a place now. */
  async free(session: Session, { created, config }: StreamInfo, subject: string): Promise<boolean> {
    await this.#clock.set(session);
    if (created !== this.#made) this.#seen.clear();
    this.#made = created;
    const { waiting, upTo } = await this.#look(session, config, subject);
    const now = this.#clock.now();
    const expired = waiting.filter(({ endsAt }) => endsAt <= now).slice(0, SLICE);
    await Promise.all(expired.map(({ sequence }) => this.#jetStream.deleteMessage(session, config.name, sequence)));
    if (expired.length < waiting.length) this.#seen.set(subject, { waiting: waiting.filter((message) => !expired.includes(message)), upTo });
    else this.#seen.delete(subject);
    return expired.length > 0 || waiting.length === 0;
  }

  /** Goes on from what was seen, without what has been read since. */
  async #look(session: Session, { name, max_age }: StreamInfo['config'], subject: string): Promise<SeenPlaces> {
    const before = this.#seen.get(subject) ?? { waiting: [], upTo: 0 };
    const head = await this.#jetStream.message(session, name, { seq: 1, next_by_subj: subject });
    if (head === undefined) return { waiting: [], upTo: 0 };
    const waiting = before.waiting.filter(({ sequence }) => sequence >= head.seq);
    let { upTo } = before;
    const { maxPayload } = session.connection.facts;
    const unsaid = ({ data }: StoredMessage): number => (isTooLargeForHeaders(Buffer.byteLength(data, 'base64'), maxPayload) ? this.#expiryMs : max_age / 1e6);
    const until = performance.now() + LOOK_MS;
    for (let next: StoredMessage | undefined = head; next !== undefined && performance.now() < until;) {
      if (next.seq > upTo) waiting.push({ sequence: next.seq, endsAt: next.time + (lifetimeOf(next) ?? unsaid(next)) });
      upTo = Math.max(upTo, next.seq);
      next = await this.#jetStream.message(session, name, { seq: upTo + 1, next_by_subj: subject });
    }
    return { waiting, upTo };
  }
}
