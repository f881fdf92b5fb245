import { LONGEST_EXPIRY_MS, ID_MEMORY_MS, type PushOptions, type Taken } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import { JS, JetStreamError, isFullQueue } from './errors.ts';
import { MESSAGE_ID, type JetStream, type Stored, type StreamInfo } from './jetstream.ts';
import { HEADERS_ROOM, LIFETIME, isTooLargeForHeaders } from './lifetime.ts';
import { Overflow } from './overflow.ts';
import { Places } from './places.ts';
import { makeConsumer } from './queue-consumer.ts';
import { QueuePuller, type PullerContext } from './queue-puller.ts';
import { readFlushed, writeFlushed } from './record.ts';
import type { Session } from './session.ts';
import type { StreamMessage, Refusal, StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** So long, in milliseconds, it is tried again to send what finds a queue full of expired messages; others may take the places that are freed. */
const PATIENCE_MS = 2000;

/** What became of a message: `seen` is one whose id was pushed before. */
export type Pushed = 'full' | 'taken' | 'seen';

/** A message for a queue. */
interface OutgoingMessage {
  readonly queue: string;
  readonly payload: Uint8Array;
  readonly options: PushOptions;
  /** What must stay in order among itself begins with the queue's name and ends there, or after a space. */
  readonly key: string;
}

/** Worker queues: one work-queue stream for all, a subject and a durable consumer for each. */
export class Queues {
  readonly #jetStream: JetStream;
  readonly #streams: Streams;
  readonly #subjects: Subjects;
  readonly #expiryMs: number;
  readonly #plan: StreamPlan;
  readonly #writer: StreamWriter<StreamInfo>;
  readonly #places: Places;
  readonly #overflow: Overflow;
  #capacityMet: number | undefined;
  readonly #pullers = new Map<string, QueuePuller>();
  readonly #pulling: Omit<PullerContext, 'subject' | 'consumer' | 'released'>;

  constructor(
    parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock },
    limits: { capacity: number; expiryMs: number },
    connection: Pick<PullerContext, 'session' | 'onChange'>,
  ) {
    this.#jetStream = parts.jetStream;
    this.#streams = parts.streams;
    this.#subjects = parts.subjects;
    this.#expiryMs = limits.expiryMs;
    this.#plan = {
      name: `${parts.subjects.streams}_QUEUE`,
      subjects: [parts.subjects.all('over'), parts.subjects.all('queue')],
      maxAgeMs: Math.max(LONGEST_EXPIRY_MS, limits.expiryMs),
      maxPerSubject: limits.capacity,
      remembersIdsMs: ID_MEMORY_MS,
      fixed: () => ({ retention: 'workqueue', discard: 'new', discard_new_per_subject: true }),
      keepsLongerAge: true,
    };
    this.#places = new Places(parts, limits.expiryMs);
    this.#overflow = new Overflow({ ...parts, stream: this.#plan.name, session: connection.session, free: (session, queue) => this.#free(session, queue) });
    this.#writer = parts.streams.writer(
      this.#plan,
      async (session) => {
        const [stream] = await Promise.all([this.#streams.ensure(session, this.#plan), this.#overflow.attend(session)]);
        return stream;
      },
      (session, refusal) => this.#mayTryAgain(session, refusal),
    );
    this.#pulling = {
      jetStream: parts.jetStream,
      clock: parts.clock,
      stream: this.#plan.name,
      expiryMs: limits.expiryMs,
      ensureStream: async (session) => {
        const [stream] = await Promise.all([this.#streams.ensure(session, this.#plan, 'reads'), this.#overflow.attend(session)]);
        return stream;
      },
      forgetStream: (session) => this.#streams.forget(session, this.#plan.name),
      ...connection,
    };
  }

  /** How many messages might wait in the queue that was found full last. */
  get capacityMet(): number | undefined {
    return this.#capacityMet;
  }

  /** The stream that all queues share. */
  get stream(): string {
    return this.#plan.name;
  }

  /** In the order of the calls. */
  push(session: Session, queue: string, payload: Uint8Array, options: PushOptions = {}): Promise<Pushed> {
    return this.#push(session, { queue, payload, options, key: queue });
  }

  /** Beside all others; never full. */
  async pushAnyhow(session: Session, queue: string, payload: Uint8Array, options: PushOptions & { readonly id: string }): Promise<'taken' | 'seen'> {
    const pushed = await this.#push(session, { queue, payload, options: { ...options, exempt: true }, key: `${queue} ${options.id}` });
    if (pushed === 'full') throw fullQueue();
    return pushed;
  }

  async pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    let puller = this.#pullers.get(queue);
    if (puller === undefined) {
      puller = new QueuePuller({
        ...this.#pulling,
        subject: this.#subjects.queue(queue),
        consumer: this.#subjects.consumer(queue),
        released: () => this.#pullers.delete(queue),
      });
      this.#pullers.set(queue, puller);
    }
    return puller.pop(max, signal);
  }

  /** Makes the queue's consumer, or finds it. */
  async prepare(session: Session, queue: string): Promise<void> {
    const { config } = await this.#streams.ensure(session, this.#plan);
    const { name: stream } = this.#plan;
    await makeConsumer({ jetStream: this.#jetStream, stream, consumer: this.#subjects.consumer(queue), subject: this.#subjects.queue(queue) }, session, config);
  }

  /** The stream was made, changed or removed by somebody. */
  streamChanged(session: Session): void {
    this.#streams.forget(session, this.#plan.name);
    for (const puller of this.#pullers.values()) puller.streamChanged();
  }

  /** Whoever pushes with an id that was pushed so far pushes anew. JetStream would remember it, also of what was purged. */
  async forgetIds(session: Session): Promise<void> {
    const stream = await this.#jetStream.stream(session, this.#plan.name);
    if (stream !== undefined) await this.#jetStream.updateStream(session, { ...stream.config, description: writeFlushed(stream.state.last_seq) });
  }

  close(): void {
    this.#overflow.close();
    for (const puller of this.#pullers.values()) puller.close();
  }

  async #push(session: Session, outgoing: OutgoingMessage): Promise<Pushed> {
    const { id } = outgoing.options;
    try {
      const first = await this.#write(session, outgoing);
      if (id === undefined || first.duplicate !== true) return 'taken';
      const flushed = readFlushed((await this.#jetStream.stream(session, this.#plan.name))?.config.description);
      if (first.seq > flushed) return 'seen';
      const again = await this.#write(session, { ...outgoing, options: { ...outgoing.options, id: `${id} ${flushed}` } });
      return again.duplicate === true ? 'seen' : 'taken';
    } catch (error) {
      if (isFullQueue(error)) return 'full';
      throw error;
    }
  }

  async #write(session: Session, { queue, payload, options, key }: OutgoingMessage): Promise<Stored> {
    const { expiryMs = this.#expiryMs, id, exempt = false } = options;
    const isPlain = expiryMs === this.#expiryMs && id === undefined && !exempt;
    const isBare = isPlain && isTooLargeForHeaders(payload.length, session.connection.facts.maxPayload);
    const headers = { [LIFETIME]: `${expiryMs}`, ...(id === undefined ? {} : { [MESSAGE_ID]: id }) };
    const message = { payload, ...(isBare ? {} : { headers }) };
    const entry: StreamMessage = { ...message, subject: this.#subjects.queue(queue) };
    let puts = 0;
    const beside = (): StreamMessage => {
      puts += 1;
      return this.#overflow.put(queue, message);
    };
    const bytes = payload.length + (isPlain ? 0 : HEADERS_ROOM);
    const write = { key, bytes, ...(exempt ? { instead: (why: JetStreamError) => (isFullQueue(why) ? beside : undefined) } : {}) };
    try {
      return await this.#writer.write(session, write, () => {
        if (!this.#overflow.has(queue)) return entry;
        if (exempt) return beside();
        throw fullQueue();
      });
    } finally {
      for (; puts > 0; puts -= 1) this.#overflow.wasPut(queue);
    }
  }

  /** What is full may have places after all, once what has expired is gone, and what waits beside it is in it. */
  async #mayTryAgain(session: Session, refusal: Refusal): Promise<boolean> {
    if (!isFullQueue(refusal.why)) return this.#streams.mayTryAgain(session, this.#plan, refusal);
    const [queue = ''] = refusal.key.split(' ');
    const isFree = this.#overflow.has(queue) ? await this.#overflow.drain(session, queue) : await this.#free(session, queue);
    return isFree && refusal.waitedMs < PATIENCE_MS;
  }

  async #free(session: Session, queue: string): Promise<boolean> {
    // Another process may have changed it since it was looked at.
    const stream = (await this.#jetStream.stream(session, this.#plan.name)) ?? (await this.#streams.ensure(session, this.#plan));
    this.#capacityMet = stream.config.max_msgs_per_subject;
    return this.#places.free(session, stream, this.#subjects.queue(queue));
  }
}

/** As the stream itself says it: so many wait as may, with those beside the queue. */
function fullQueue(): JetStreamError {
  return new JetStreamError('keep the message', { err_code: JS.storeFailed, description: 'maximum messages per subject exceeded' });
}
