import type { Taken } from '@busgate/layer/driver';
import type { Clock } from './clock.ts';
import { isFullQueue } from './errors.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import { LIFETIME, QueuePuller, type PullerContext } from './queue-puller.ts';
import type { Session } from './session.ts';
import type { Refusal, StreamWriter } from './stream-writer.ts';
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
  readonly #writer: StreamWriter<StreamInfo>;
  #capacityMet: number | undefined;
  readonly #pullers = new Map<string, QueuePuller>();
  readonly #pulling: Omit<PullerContext, 'subject' | 'consumer' | 'released'>;

  constructor(
    parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: Clock },
    limits: { capacity: number; expiryMs: number },
    connection: Pick<PullerContext, 'session' | 'onChange'>,
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
    this.#writer = parts.streams.writer(
      this.#plan,
      (session) => this.#streams.ensure(session, this.#plan),
      (session, refusal) => this.#mayTryAgain(session, refusal),
    );
    this.#pulling = {
      jetStream: parts.jetStream,
      clock: parts.clock,
      stream: this.#plan.name,
      ensureStream: (session) => this.#streams.ensure(session, this.#plan, 'reads'),
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

  /** False where it is full. */
  async push(session: Session, queue: string, payload: Uint8Array): Promise<boolean> {
    const subject = this.#subjects.queue(queue);
    try {
      await this.#writer.write(session, { key: subject, bytes: payload.length }, ({ config }) => {
        const lives = config.max_age === this.#expiryMs * 1e6 ? {} : { headers: { [LIFETIME]: `${this.#expiryMs}` } };
        return { subject, payload, ...lives };
      });
      return true;
    } catch (error) {
      if (isFullQueue(error)) return false;
      throw error;
    }
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

  /** The stream was made, changed or removed by somebody. */
  streamChanged(session: Session): void {
    this.#streams.forget(session, this.#plan.name);
    for (const puller of this.#pullers.values()) puller.streamChanged();
  }

  close(): void {
    for (const puller of this.#pullers.values()) puller.close();
  }

  async #mayTryAgain(session: Session, refusal: Refusal): Promise<boolean> {
    if (!isFullQueue(refusal.why)) return this.#streams.mayTryAgain(session, this.#plan, refusal);
    return (await this.#freeExpired(session, refusal)) && refusal.attempts < ATTEMPTS;
  }

  /** The server removes what has expired within some hundred milliseconds; what it has not removed yet must not hold places. True where there are some now. */
  async #freeExpired(session: Session, { subject, messages }: Refusal): Promise<boolean> {
    // Another process may have changed it since it was looked at.
    const now = await this.#jetStream.stream(session, this.#plan.name);
    const { config } = now ?? (await this.#streams.ensure(session, this.#plan));
    this.#capacityMet = config.max_msgs_per_subject;
    await this.#clock.set(session);
    for (let freed = 0; freed < messages; freed += 1) {
      const head = await this.#jetStream.message(session, this.#plan.name, { seq: 1, next_by_subj: subject });
      if (head === undefined) return true;
      const lifetime = Number(new RegExp(`^${LIFETIME}: *(\\d+)`, 'm').exec(head.headers)?.[1] ?? config.max_age / 1e6);
      if (head.time + lifetime > this.#clock.now()) return freed > 0;
      await this.#jetStream.deleteMessage(session, this.#plan.name, head.seq);
    }
    return true;
  }
}
