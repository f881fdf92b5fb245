import {
  RefusedTopics,
  Resubscription,
  type DriverEvents,
  type HistoryRule,
  type LayerError,
  type RefusedTopic,
  type ResolvedOptions,
  type Stamp,
  type Topic,
  type TopicSink,
} from '@busgate/layer/driver';
import type { Arrival, Subscribed } from './connection.ts';
import { away } from './errors.ts';
import { InOrder } from './in-order.ts';
import type { Session } from './session.ts';
import type { Subjects } from './subjects.ts';
import { traceOf } from './trace-header.ts';

/**
 * In a cluster the other servers know of a new subscription a moment later, and what they have sent meanwhile has not come: rooms with history look
 * after this time for what they missed.
 */
const SPREAD_MS = 1000;
/** How often is looked whether subscriptions that the server does not permit are to be tried again. */
const LOOK_MS = 1000;

interface Entry {
  readonly topic: Topic;
  readonly sink: TopicSink;
  readonly rule: HistoryRule | undefined;
  /** What a stream republishes for it; only rooms with history have one. */
  readonly order: InOrder | undefined;
  /** On the connection that it was last made on. */
  subscribed: Subscribed | undefined;
  /** Until the gap has been told. */
  resubscription: Resubscription | undefined;
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
  readonly #traces: boolean;
  readonly #events: TopicsEvents;
  readonly #entries = new Map<string, Entry>();
  readonly #refused: RefusedTopics<Entry>;
  /** The server has just taken away some that stood. */
  #taken: NodeJS.Immediate | undefined;
  #nextLook: NodeJS.Timeout | undefined;
  #session: Session | undefined;

  /** `traces`: whether rooms are looked at for them. */
  constructor(subjects: Subjects, { logger, traces }: Pick<ResolvedOptions, 'logger' | 'traces'>, events: TopicsEvents) {
    this.#subjects = subjects;
    this.#refused = new RefusedTopics(logger, (kind, reason) => events.fault(kind, reason));
    this.#traces = traces;
    this.#events = events;
  }

  /** @throws LayerError REFUSED, LAYER_AWAY */
  async subscribe(session: Session, topic: Topic, sink: TopicSink, rule: HistoryRule | undefined): Promise<void> {
    const order = rule === undefined ? undefined : new InOrder((payload, stamp, traceparent) => this.#give(entry, payload, stamp, traceparent));
    const entry: Entry = { topic, sink, rule, order, subscribed: undefined, resubscription: undefined, refused: undefined, confirmed: false };
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
    for (const entry of this.#entries.values()) this.#renewEntry(session, entry);
    await session.confirm();
  }

  /** The new connection counts: each topic that was renewed is told its gap, then what has come since. */
  release(session: Session): void {
    this.#session = session;
    for (const entry of this.#entries.values()) {
      if (entry.resubscription === undefined || entry.refused !== undefined) continue;
      this.#tellGap(entry);
      this.#tellGapLater(session, entry);
    }
    this.#tellRefused();
  }

  /** Tells a gap in each room with history that `concerns` names: its stream is not what it was. */
  tellGaps(concerns: (rule: HistoryRule) => boolean): void {
    for (const entry of this.#entries.values()) if (entry.rule !== undefined && entry.resubscription === undefined && concerns(entry.rule)) entry.sink.gap();
  }

  /** Ends every subscription, so that who publishes to this process's topics is told that nobody listens. */
  close(): void {
    clearTimeout(this.#nextLook);
    clearImmediate(this.#taken);
    for (const [key, entry] of this.#entries) this.#endSubscription(key, entry);
  }

  #renewEntry(session: Session, entry: Entry): void {
    entry.resubscription = new Resubscription(entry.sink);
    entry.order?.reset();
    entry.refused = undefined;
    this.#subscribeEntry(session, entry);
  }

  #subscribeEntry(session: Session, entry: Entry): void {
    const { topic, order } = entry;
    entry.subscribed = session.subscribe(order === undefined ? this.#subjects.topic(topic) : this.#subjects.live(topic.name), {
      message: this.#receiverOf(entry),
      refused: (error) => this.#onRefused(session, entry, error),
    });
  }

  #endSubscription(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#refused.delete(entry);
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
    if (entry.resubscription === undefined) entry.sink.message(payload, stamp, traceparent);
    else entry.resubscription.keep(() => entry.sink.message(payload, stamp, traceparent));
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
    const { resubscription } = entry;
    entry.resubscription = undefined;
    this.#refused.delete(entry);
    resubscription?.tell();
  }

  /** For a room with history a gap is a look into it. */
  #tellGapLater(session: Session, entry: Entry): void {
    if (entry.rule === undefined || !session.connection.facts.clustered) return;
    setTimeout(() => {
      if (session.ended === undefined && entry.resubscription === undefined && this.#isHeld(entry)) entry.sink.gap();
    }, SPREAD_MS).unref();
  }

  #onRefused(session: Session, entry: Entry, error: LayerError): void {
    entry.refused = error;
    if (!entry.confirmed) this.#events.fault('refused', error.message);
    else if (session === this.#session) this.#taken ??= setImmediate(() => this.#tellRefused());
  }

  /** What is not permitted any more, on return or while it stood, is tried again until it is. */
  #tellRefused(): void {
    clearImmediate(this.#taken);
    this.#taken = undefined;
    const refused: RefusedTopic<Entry>[] = [];
    for (const [name, entry] of this.#entries) {
      if (entry.confirmed && entry.refused !== undefined) refused.push({ topic: entry, names: [name], reason: entry.refused.message });
    }
    this.#refused.add(refused);
    if (refused.length > 0) this.#lookLater();
  }

  #lookLater(): void {
    this.#nextLook ??= setTimeout(() => {
      this.#nextLook = undefined;
      void this.#tryAgain();
    }, LOOK_MS).unref();
  }

  async #tryAgain(): Promise<void> {
    const session = this.#session;
    if (session !== undefined && session.ended === undefined && this.#refused.look()) {
      const tried = this.#refused.all;
      try {
        for (const entry of tried) this.#renewEntry(session, entry);
        await session.confirm();
        for (const entry of tried) if (this.#isHeld(entry) && entry.refused === undefined) this.#tellGap(entry);
      } catch {
        // The next connection brings them back.
      }
    }
    if (this.#refused.all.length > 0) this.#lookLater();
  }

  #isHeld(entry: Entry): boolean {
    return this.#entries.get(this.#subjects.topic(entry.topic)) === entry;
  }
}
