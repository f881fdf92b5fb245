import {
  LayerError,
  type Capabilities,
  type Driver,
  type DriverContext,
  type DriverEvents,
  type Finding,
  type GroupPublishResult,
  type HistoryPage,
  type HistoryRule,
  type LeaseStore,
  type Position,
  type PushOptions,
  type RecordStore,
  type Taken,
  type Topic,
  type TopicSink,
} from '@busgate/layer/driver';
import { away } from './errors.ts';
import { Keeping } from './keeping.ts';
import { Link } from './link.ts';
import type { Session } from './session.ts';
import { Subjects } from './subjects.ts';
import { Topics } from './topics.ts';
import { traceHeader } from './trace-header.ts';
import type { Target } from './url.ts';

const REMEDY =
  'the NATS server has no JetStream for this account, so start it with nats-server -js or put jetstream {} into its configuration, and where it has accounts jetstream: enabled into this one';

/** `max_msgs_per_subject` is the stream's. */
const ONE_BOUND = 'a stream of NATS has one bound for all its subjects';

const WITHOUT_JETSTREAM: Capabilities = {
  roomOrder: 'publisher',
  history: false,
  queues: false,
  groups: true,
  processes: true,
  traces: true,
  lacks: { history: REMEDY, queues: REMEDY, leases: REMEDY, sendOptions: REMEDY, publishIds: REMEDY, records: REMEDY },
};
const WITH_JETSTREAM: Capabilities = {
  lacks: { queueCapacities: ONE_BOUND },
  roomOrder: 'publisher',
  history: true,
  queues: true,
  groups: true,
  processes: true,
  leases: true,
  sendOptions: true,
  publishIds: true,
  records: true,
  traces: true,
};

/** Core NATS for what is live, JetStream for what is kept. */
export class NatsDriver implements Driver {
  readonly #context: DriverContext;
  readonly #subjects: Subjects;
  readonly #link: Link;
  readonly #topics: Topics;
  readonly #keeping: Keeping;
  #events: DriverEvents | undefined;
  #session: Session | undefined;
  readonly #onChange = new Set<() => void>();

  constructor(target: Target, context: DriverContext) {
    const { logger, prefix, traces } = context.options;
    this.#context = context;
    this.#subjects = new Subjects(prefix);
    this.#topics = new Topics(
      this.#subjects,
      { logger, traces },
      {
        undecodable: (where) => this.#events?.undecodable(where),
        fault: (kind, reason) => this.#events?.fault(kind, reason),
        heard: (made, sequence, arrival) => this.#keeping.histories.heard(made, sequence, arrival),
      },
    );
    this.#keeping = new Keeping(target, context.options, this.#subjects, {
      session: () => this.#session,
      ready: () => this.#withJetStream(),
      onChange: (then) => {
        this.#onChange.add(then);
        return () => this.#onChange.delete(then);
      },
      fault: (kind, reason) => this.#events?.fault(kind, reason),
      missed: ({ rules }) => this.#topics.tellGaps((rule) => rules.includes(rule)),
    });
    this.#link = new Link(target, `busgate ${context.process}`, logger, {
      prepare: (session) => this.#prepare(session),
      arrived: (session) => this.#arrived(session),
      away: (reason) => this.#away(reason),
      fault: (kind, reason) => this.#events?.fault(kind, reason),
    });
  }

  get capabilities(): Capabilities {
    return this.#keeping.isThere ? WITH_JETSTREAM : WITHOUT_JETSTREAM;
  }

  get records(): RecordStore {
    return this.#keeping.records;
  }

  get leases(): LeaseStore {
    return this.#keeping.leases;
  }

  get capacityMet(): number | undefined {
    return this.#keeping.queues.capacityMet;
  }

  async open(events: DriverEvents): Promise<void> {
    this.#events = events;
    await this.#link.open();
  }

  topicName(topic: Topic): string {
    return this.#subjects.topic(topic);
  }

  publish(topic: Topic, payload: Uint8Array, traceparent?: string): Promise<number | undefined> {
    try {
      const session = this.#connected();
      const subject = this.#subjects.topic(topic);
      if (topic.kind === 'process') return session.publishTo(subject, payload).then((heard) => (heard ? undefined : 0));
      return session.publish(subject, payload, undefined, traceHeader(traceparent, payload.length, session.connection.facts)) as Promise<undefined>;
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async subscribe(topic: Topic, sink: TopicSink, history?: HistoryRule): Promise<void> {
    if (history !== undefined) await this.#keeping.histories.prepare(this.#withJetStream(), history);
    await this.#topics.subscribe(this.#connected(), topic, sink, history);
  }

  async unsubscribe(topic: Topic): Promise<void> {
    this.#topics.unsubscribe(topic);
  }

  async push(queue: string, payload: Uint8Array, options?: PushOptions): Promise<boolean> {
    return (await this.#keeping.queues.push(this.#withJetStream(), queue, payload, options)) !== 'full';
  }

  async pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    if (!this.#keeping.isThere) throw unsupported();
    return this.#keeping.queues.pop(queue, max, signal);
  }

  async prepareQueue(queue: string): Promise<void> {
    await this.#keeping.queues.prepare(this.#withJetStream(), queue);
  }

  async addMember(group: string, queue: string): Promise<void> {
    await this.#keeping.members.add(this.#withJetStream(), group, queue);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    await this.#keeping.members.remove(this.#withJetStream(), group, queue);
  }

  renewMember(group: string, queue: string, leftMs: number): Promise<boolean> {
    return this.#keeping.members.renew(this.#withJetStream(), group, queue, leftMs);
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    const session = this.#connected();
    const published = session.publish(this.#subjects.topic({ kind: 'group', name: group }), payload);
    const members = this.#keeping.isThere ? this.#keeping.members.of(session, group) : Promise.resolve([]);
    const [queues] = await Promise.all([members, published]);
    return { queues };
  }

  async append(room: string, payload: Uint8Array, rule: HistoryRule, id?: string, traceparent?: string): Promise<Position> {
    const session = this.#withJetStream();
    const headers = traceHeader(traceparent, payload.length, session.connection.facts);
    return this.#keeping.histories.append(session, room, { payload, id, headers }, rule);
  }

  async read(room: string, rule: HistoryRule, after?: Position): Promise<HistoryPage> {
    return this.#keeping.histories.read(this.#withJetStream(), room, rule, after);
  }

  async purge(room: string, rule: HistoryRule): Promise<void> {
    await this.#keeping.histories.purge(this.#withJetStream(), room, rule);
  }

  examine(): Promise<readonly Finding[]> {
    return this.#keeping.examine(this.#connected(), this.#context.options.maxMessageBytes);
  }

  async flush(): Promise<void> {
    const session = this.#connected();
    if (this.#keeping.isThere) await this.#keeping.flush(session);
  }

  async close(): Promise<void> {
    this.#keeping.close();
    this.#topics.close();
    await this.#link.close();
    this.#session = undefined;
  }

  #connected(): Session {
    if (this.#session === undefined) throw away(this.#link.reason ?? 'it has not been reached yet');
    return this.#session;
  }

  #withJetStream(): Session {
    const session = this.#connected();
    if (!this.#keeping.isThere) throw unsupported();
    return session;
  }

  async #prepare(session: Session): Promise<void> {
    this.#warnOfLimits(session);
    const kept = this.#keeping.arrive(session);
    // A single server may have been started anew: then which epoch messages are of is found out before the first one comes.
    if (!session.connection.facts.clustered) await kept;
    await Promise.all([this.#topics.renew(session), kept]);
    await session.prove();
    if (session.ended !== undefined) throw away(session.ended);
  }

  #arrived(session: Session): void {
    this.#session = session;
    for (const then of this.#onChange) then();
    this.#events?.state('connected');
    this.#topics.release(session);
    this.#keeping.settle();
  }

  #away(reason: string): void {
    this.#session = undefined;
    this.#events?.state('away', reason);
  }

  #warnOfLimits({ connection }: Session): void {
    const { maxMessageBytes, logger } = this.#context.options;
    const { maxPayload } = connection.facts;
    if (maxPayload >= maxMessageBytes) return;
    const advice = 'the NATS server takes smaller messages than this layer: raise max_payload in its configuration, or lower the limit here';
    logger.warn(advice, { maxPayload, maxMessageBytes });
  }
}

function unsupported(): LayerError {
  return new LayerError('UNSUPPORTED', `this layer has no queues, leases and history: ${REMEDY}; layers that can besides: memory:, redis://`);
}
