import type { Taken } from '@busgate/layer/driver';
import type { Clock } from './clock.ts';
import { isFullQueue } from './errors.ts';
import type { JetStream } from './jetstream.ts';
import { LIFETIME, QueueReader, type ReaderContext } from './reader.ts';
import type { Session } from './session.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** A place that an expired message holds is freed this often before the queue counts as full. */
const ATTEMPTS = 3;

/** Worker queues: one work-queue stream for all, a subject and a durable consumer for each. */
export class Queues {
  readonly #jetStream: JetStream;
  readonly #streams: Streams;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #expiryMs: number;
  readonly #plan: StreamPlan;
  readonly #readers = new Map<string, QueueReader>();
  readonly #reading: Omit<ReaderContext, 'subject' | 'consumer' | 'released'>;

  constructor(
    parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: Clock },
    limits: { capacity: number; expiryMs: number },
    connection: Pick<ReaderContext, 'session' | 'changed'>,
  ) {
    this.#jetStream = parts.jetStream;
    this.#streams = parts.streams;
    this.#subjects = parts.subjects;
    this.#clock = parts.clock;
    this.#expiryMs = limits.expiryMs;
    this.#plan = {
      name: `${parts.subjects.streams}_QUEUE`,
      subjects: [parts.subjects.all('queue')],
      maxAgeMs: limits.expiryMs,
      maxPerSubject: limits.capacity,
      fixed: () => ({ retention: 'workqueue', discard: 'new', discard_new_per_subject: true }),
      keepsLongerAge: true,
    };
    this.#reading = {
      jetStream: parts.jetStream,
      clock: parts.clock,
      stream: this.#plan.name,
      ensureStream: (session) => this.#streams.ensure(session, this.#plan),
      forgetStream: (session) => this.#streams.forget(session, this.#plan.name),
      ...connection,
    };
  }

  /** The stream that all queues share. */
  get stream(): string {
    return this.#plan.name;
  }

  /** False where it is full. */
  async push(session: Session, queue: string, payload: Uint8Array): Promise<boolean> {
    const subject = this.#subjects.queue(queue);
    for (let attempt = 1; ; attempt += 1) {
      const { config } = await this.#streams.ensure(session, this.#plan);
      const headers = config.max_age === this.#expiryMs * 1e6 ? undefined : { [LIFETIME]: `${this.#expiryMs}` };
      try {
        await this.#streams.store(session, this.#plan, subject, payload, headers);
        return true;
      } catch (error) {
        if (!isFullQueue(error)) throw error;
        if (attempt === ATTEMPTS || !(await this.#freeExpired(session, subject, config.max_age / 1e6))) return false;
      }
    }
  }

  async pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    let reader = this.#readers.get(queue);
    if (reader === undefined) {
      reader = new QueueReader({
        ...this.#reading,
        subject: this.#subjects.queue(queue),
        consumer: this.#subjects.consumer(queue),
        released: () => this.#readers.delete(queue),
      });
      this.#readers.set(queue, reader);
    }
    return reader.pop(max, signal);
  }

  /** The stream was made, changed or removed by somebody. */
  streamChanged(session: Session): void {
    this.#streams.forget(session, this.#plan.name);
    for (const reader of this.#readers.values()) reader.look();
  }

  close(): void {
    for (const reader of this.#readers.values()) reader.close();
  }

  /** The server removes what has expired within some hundred milliseconds; what it has not removed yet must not hold a place. */
  async #freeExpired(session: Session, subject: string, ageMs: number): Promise<boolean> {
    await this.#clock.set(session);
    const head = await this.#jetStream.message(session, this.#plan.name, { seq: 1, next_by_subj: subject });
    if (head === undefined) return true;
    const lifetime = Number(new RegExp(`^${LIFETIME}: *(\\d+)`, 'm').exec(head.headers)?.[1] ?? ageMs);
    if (head.time + lifetime > this.#clock.now()) return false;
    await this.#jetStream.deleteMessage(session, this.#plan.name, head.seq);
    return true;
  }
}
