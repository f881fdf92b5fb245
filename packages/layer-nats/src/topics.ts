import type { DriverEvents, HistoryRule, LayerError, LayerLogger, ResolvedOptions, Stamp, Topic, TopicSink } from '@busgate/layer/driver';
import type { Arrival, Subscribed } from './connection.ts';
import { away } from './errors.ts';
import { InOrder } from './in-order.ts';
import type { Session } from './session.ts';
import type { Subjects } from './subjects.ts';
import { traceOf } from './trace-header.ts';

/** Messages of one topic that are kept while its subscription on a new connection is being proved; what passes it the gap covers. */
const MAX_HELD = 1000;
/**
 * In a cluster the other servers know of a new subscription a moment later, and what they have sent meanwhile has not come: rooms with history look
 * after this time for what they missed.
 */
const SPREAD_MS = 1000;
/** How often a subscription that the server no longer permits is tried again. */
const RETRY_MS = 5000;

interface Held {
  readonly payload: Uint8Array;
  readonly stamp: Stamp | undefined;
  readonly traceparent: string | undefined;
}

interface Entry {
  readonly topic: Topic;
  readonly sink: TopicSink;
  readonly rule: HistoryRule | undefined;
  /** What a stream republishes for it; only rooms with history have one. */
  readonly order: InOrder | undefined;
  /** On the connection that it was last made on. */
  subscribed: Subscribed | undefined;
  /** Messages kept until the gap before them has been told. */
  held: Held[] | undefined;
  refused: LayerError | undefined;
  /** The server has confirmed it once. */
  confirmed: boolean;
}

export interface TopicsEvents extends Pick<DriverEvents, 'fault'> {
  readonly undecodable: (where: string) => void;
  /** A message of a stream has come; tells the epoch that it is of, where `made` is the one that the stream was made with. */
  readonly heard: (made: string, sequence: number, arrival: Arrival) => string;
}

/** What this process subscribes: confirmed at the call, made anew on every connection, with exactly one gap between the two. */
export class Topics {
  readonly #subjects: Subjects;
  readonly #logger: LayerLogger;
  readonly #traces: boolean;
  readonly #events: TopicsEvents;
  readonly #entries = new Map<string, Entry>();
  #retry: NodeJS.Timeout | undefined;
  #session: Session | undefined;

  /** `traces`: whether rooms are looked at for them. */
  constructor(subjects: Subjects, { logger, traces }: Pick<ResolvedOptions, 'logger' | 'traces'>, events: TopicsEvents) {
    this.#subjects = subjects;
    this.#logger = logger;
    this.#traces = traces;
    this.#events = events;
  }

  /** @throws LayerError REFUSED, LAYER_AWAY */
  async subscribe(session: Session, topic: Topic, sink: TopicSink, rule: HistoryRule | undefined): Promise<void> {
    const order = rule === undefined ? undefined : new InOrder((payload, stamp, traceparent) => this.#give(entry, payload, stamp, traceparent));
    const entry: Entry = { topic, sink, rule, order, subscribed: undefined, held: undefined, refused: undefined, confirmed: false };
    const key = this.#subjects.topic(topic);
    this.#entries.set(key, entry);
    try {
      this.#subscribeEntry(session, entry);
      await session.confirm();
      if (entry.refused !== undefined) throw entry.refused;
      entry.confirmed = true;
      this.#tellGapLater(session, entry);
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#endSubscription(key, entry);
      throw session.ended === undefined ? error : away(session.ended);
    }
  }

  unsubscribe(topic: Topic): void {
    const key = this.#subjects.topic(topic);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#endSubscription(key, entry);
  }

  /** Subscribes everything anew on a connection; what arrives waits for {@link release}. Resolves when the server has confirmed it. */
  async renew(session: Session): Promise<void> {
    for (const entry of this.#entries.values()) {
      entry.held ??= [];
      entry.order?.reset();
      entry.refused = undefined;
      this.#subscribeEntry(session, entry);
    }
    await session.confirm();
    for (const entry of this.#entries.values()) if (entry.refused !== undefined) this.#subscriptionTaken(entry);
  }

  /** The new connection counts: each topic that was renewed is told its gap, then what has come since. */
  release(session: Session): void {
    this.#session = session;
    for (const entry of this.#entries.values()) {
      if (entry.held === undefined || entry.refused !== undefined) continue;
      this.#tellGap(entry);
      this.#tellGapLater(session, entry);
    }
  }

  /** Tells a gap in each room with history that `concerns` names: its stream is not what it was. */
  tellGaps(concerns: (rule: HistoryRule) => boolean): void {
    for (const entry of this.#entries.values()) if (entry.rule !== undefined && entry.held === undefined && concerns(entry.rule)) entry.sink.gap();
  }

  /** Ends every subscription, so that who publishes to this process's topics is told that nobody listens. */
  close(): void {
    clearTimeout(this.#retry);
    for (const [key, entry] of this.#entries) this.#endSubscription(key, entry);
  }

  #subscribeEntry(session: Session, entry: Entry): void {
    const { topic, order } = entry;
    entry.subscribed = session.subscribe(order === undefined ? this.#subjects.topic(topic) : this.#subjects.live(topic.name), {
      message: this.#receiverOf(entry),
      refused: (error) => this.#refused(session, entry, error),
    });
  }

  #endSubscription(key: string, entry: Entry): void {
    this.#entries.delete(key);
    entry.subscribed?.end();
    entry.order?.reset();
  }

  #receiverOf(entry: Entry): (arrival: Arrival) => void {
    const { topic, order } = entry;
    if (order !== undefined) return (arrival) => this.#stamped(order, arrival);
    if (this.#traces && topic.kind === 'room') return (arrival) => this.#give(entry, arrival.payload, undefined, traceOf(arrival));
    return ({ payload }) => this.#give(entry, payload);
  }

  #give(entry: Entry, payload: Uint8Array, stamp?: Stamp, traceparent?: string): void {
    if (entry.held === undefined) entry.sink.message(payload, stamp, traceparent);
    else if (entry.held.length < MAX_HELD) entry.held.push({ payload, stamp, traceparent });
  }

  /** A stream's copy: the epoch is in its subject, the sequences are in its headers. */
  #stamped(order: InOrder, arrival: Arrival): void {
    const offset = Number(arrival.header('Nats-Sequence'));
    const previous = Number(arrival.header('Nats-Last-Sequence'));
    if (!Number.isSafeInteger(offset) || offset < 1 || !Number.isSafeInteger(previous)) {
      this.#events.undecodable(arrival.subject);
      return;
    }
    const epoch = this.#events.heard(this.#subjects.epochOf(arrival.subject), offset, arrival);
    order.take(arrival.payload, { epoch, offset, previous }, this.#traces ? traceOf(arrival) : undefined);
  }

  #tellGap(entry: Entry): void {
    const held = entry.held ?? [];
    entry.held = undefined;
    entry.sink.gap();
    for (const { payload, stamp, traceparent } of held) entry.sink.message(payload, stamp, traceparent);
  }

  /** For a room with history a gap is a look into it. */
  #tellGapLater(session: Session, entry: Entry): void {
    if (entry.rule === undefined || !session.connection.facts.clustered) return;
    setTimeout(() => {
      if (session.ended === undefined && entry.held === undefined && this.#entries.get(this.#subjects.topic(entry.topic)) === entry) entry.sink.gap();
    }, SPREAD_MS).unref();
  }

  #refused(session: Session, entry: Entry, error: LayerError): void {
    entry.refused = error;
    const tried = session === this.#session && entry.held !== undefined;
    if (!tried) this.#events.fault('refused', error.message);
    if (session === this.#session && entry.confirmed && entry.held === undefined) {
      entry.sink.gap();
      this.#subscriptionTaken(entry);
    }
  }

  /** The server took away a subscription that stood: it is tried again until it is permitted, and ends with a gap. */
  #subscriptionTaken(entry: Entry): void {
    entry.held = [];
    this.#logger.error('a subscription is not permitted any more', { topic: this.#subjects.topic(entry.topic), reason: entry.refused?.message });
    this.#retry ??= setTimeout(() => void this.#retryTaken(), RETRY_MS).unref();
  }

  async #retryTaken(): Promise<void> {
    this.#retry = undefined;
    const session = this.#session;
    const lost = [...this.#entries.values()].filter((entry) => entry.refused !== undefined);
    if (session === undefined || session.ended !== undefined || lost.length === 0) return;
    try {
      for (const entry of lost) {
        entry.refused = undefined;
        this.#subscribeEntry(session, entry);
      }
      await session.confirm();
    } catch {
      return;
    }
    for (const entry of lost) {
      if (this.#entries.get(this.#subjects.topic(entry.topic)) !== entry || entry.held === undefined) continue;
      if (entry.refused === undefined) this.#tellGap(entry);
      else this.#retry ??= setTimeout(() => void this.#retryTaken(), RETRY_MS).unref();
    }
  }
}
