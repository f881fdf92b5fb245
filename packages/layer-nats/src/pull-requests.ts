import { setTimeout as delay } from 'node:timers/promises';
import type { Arrival } from './connection.ts';
import { nanoseconds, type JetStream } from './jetstream.ts';
import { HANDED_AGAIN_MS, type Consuming } from './queue-consumer.ts';
import type { Channel, Session } from './session.ts';

/**
 * In a cluster the first requests for messages are short, since they may get lost until our server knows of the consumer; each stands twice as long as
 * the one before.
 */
const FIRST_PULL_MS = 100;
/** So long may the requests become of which nothing was ever heard; then the consumer may have gone. */
const LAST_HOPE_MS = 400;
/** A request of which nothing was heard for this long after its end is lost: the consumer may have gone. */
const LATE_MS = 500;

/** How late a busy server may be to hand out again what nobody has taken. What is asked for before that passes it. */
const LATE_AGAIN_MS = 500;

/** Between two looks whether what was handed out has come. */
const LOOK_AGAIN_MS = 20;

/** The ends of a request that say nothing of the consumer: its time is over, or there is nothing. */
const ORDINARY_ENDS: readonly number[] = [408, 404];

interface PullRequest {
  left: number;
  readonly endsAt: number;
}

export interface PullEvents {
  message(arrival: Arrival): void;
  /** A request has ended without a message. `refused`: the consumer is not what it was, or has no leader just now. */
  ended(refused: boolean): void;
  /** How many messages were handed to this process and are neither settled nor given back. */
  held(): number;
}

/** What one connection asks a queue's consumer for: where its messages arrive, and what was asked for and has not come. */
export class PullRequests {
  readonly session: Session;
  readonly consuming: Consuming;
  readonly #jetStream: JetStream;
  readonly #at: { readonly stream: string; readonly consumer: string };
  readonly #events: PullEvents;
  readonly #standing = new Map<string, PullRequest>();
  #channel: Channel | undefined;
  #asked = 0;
  /** How long the next request stands. */
  #nextMs: number;
  #heard = false;

  constructor(
    jetStream: JetStream,
    at: { readonly stream: string; readonly consumer: string },
    { session, consuming }: { readonly session: Session; readonly consuming: Consuming },
    events: PullEvents,
  ) {
    this.#jetStream = jetStream;
    this.#at = at;
    this.session = session;
    this.consuming = consuming;
    this.#events = events;
    this.#nextMs = session.connection.facts.clustered ? FIRST_PULL_MS : consuming.pullMs;
  }

  /** How long nothing need be heard of what was asked for. */
  get quietForMs(): number {
    const ends = [...this.#standing.values()].map(({ endsAt }) => endsAt - performance.now());
    return Math.max(0, ...ends) + this.#lateMs;
  }

  /** Whether nothing was ever heard, and it is too early to doubt that the consumer is there. */
  get mayBeUnknown(): boolean {
    return !this.#heard && this.#nextMs <= LAST_HOPE_MS;
  }

  /** Asks for as many as are wanted beyond what was asked for already and may still come. */
  ask(wanted: number): void {
    const { stream, consumer } = this.#at;
    const missing = wanted - this.#stillDue();
    if (missing <= 0) return;
    this.#channel ??= this.#open();
    this.#asked += 1;
    const reply = `${this.#channel.reply}.${this.#asked.toString(36)}`;
    const ms = this.#nextMs;
    this.#nextMs = Math.min(2 * ms, this.consuming.pullMs);
    this.#standing.set(reply, { left: missing, endsAt: performance.now() + ms });
    this.#jetStream.pull(this.session, stream, consumer, { batch: missing, expires: nanoseconds(ms) }, reply);
  }

  /** Nothing of what stands is hoped for any more. */
  forget(): void {
    this.#standing.clear();
  }

  /**
   * Takes back what was asked for. Resolves when the server hands out nothing more for it, and what is given back goes to others; what it has handed out by
   * then still comes as a message.
   */
  async withdraw(): Promise<void> {
    const isAsked = this.#standing.size > 0 && this.#canBeTakenBack;
    const drained = isAsked ? this.#closeChannel() : undefined;
    await (this.consuming.byRemoval && (isAsked || this.#events.held() > 0) ? this.#sweep() : drained);
  }

  /** Nothing more is asked for. What was handed out still comes as a message, and what stands may bring more where it cannot be taken back. */
  close(): void {
    if (this.#standing.size === 0 || this.#canBeTakenBack) void this.#closeChannel();
    else setTimeout(() => void this.#closeChannel(), this.quietForMs).unref();
  }

  /**
   * In a cluster what is on its way between two servers is lost with a request that is taken back. Only where that is handed out again soon it may be, else the
   * request stands until its end.
   */
  get #canBeTakenBack(): boolean {
    return this.consuming.byRemoval || !this.session.connection.facts.clustered;
  }

  /**
   * Servers before 2.10 lose what is given back to a consumer of which only such requests stand as nobody listens to, a dead reader's too: asked about itself,
   * it drops these. And what was on its way between two servers is lost until it is handed out again: while more is handed out than is here nothing should be asked for,
   * counted from the first answer, since the server may have handed it out until then.
   */
  async #sweep(): Promise<void> {
    const { stream, consumer } = this.#at;
    let until = Infinity;
    try {
      for (;;) {
        const { num_ack_pending } = await this.#jetStream.consumer(this.session, stream, consumer);
        const isLost = this.consuming.lone && num_ack_pending > this.#events.held();
        if (!isLost || performance.now() > until) return;
        until = Math.min(until, performance.now() + HANDED_AGAIN_MS + LATE_AGAIN_MS);
        await delay(LOOK_AGAIN_MS);
      }
    } catch {
      // It is looked at anew before the next message is asked for.
    }
  }

  get #lateMs(): number {
    return this.#heard ? LATE_MS : FIRST_PULL_MS;
  }

  /** A request that is over by far is asked for again; that does no harm where its messages come after all. */
  #stillDue(): number {
    const since = performance.now() - this.#lateMs;
    let due = 0;
    for (const [reply, { left, endsAt }] of this.#standing) {
      if (endsAt <= since) this.#standing.delete(reply);
      else due += left;
    }
    return due;
  }

  #open(): Channel {
    const channel: Channel = this.session.channel((arrival) => this.#arrived(channel, arrival));
    return channel;
  }

  async #closeChannel(): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#standing.clear();
    if (this.session.ended === undefined) await channel?.drain();
  }

  #arrived(channel: Channel, arrival: Arrival): void {
    this.#heard = true;
    if (arrival.status !== 0) {
      this.#standing.delete(arrival.subject);
      if (channel === this.#channel) this.#events.ended(!ORDINARY_ENDS.includes(arrival.status));
      return;
    }
    this.#nextMs = this.consuming.pullMs;
    if (channel === this.#channel) this.#countDown();
    this.#events.message(arrival);
  }

  /** Messages do not tell which request they are for; the oldest is answered first. */
  #countDown(): void {
    for (const [reply, request] of this.#standing) {
      request.left -= 1;
      if (request.left <= 0) this.#standing.delete(reply);
      return;
    }
  }
}
