import {
  LayerError,
  type Capabilities,
  type Driver,
  type DriverContext,
  type DriverEvents,
  type GroupPublishResult,
  type HistoryPage,
  type HistoryRule,
  type Position,
  type Taken,
  type Topic,
  type TopicSink,
} from '@busgate/layer/driver';
import { away } from './errors.ts';
import { Link } from './link.ts';
import type { Session } from './session.ts';
import { Subjects } from './subjects.ts';
import { Topics } from './topics.ts';
import type { Target } from './url.ts';

/** Core NATS for what is live, JetStream for what is kept. */
export class NatsDriver implements Driver {
  readonly #context: DriverContext;
  readonly #subjects: Subjects;
  readonly #link: Link;
  readonly #topics: Topics;
  #events: DriverEvents | undefined;
  #session: Session | undefined;
  #why = 'it has not been reached yet';

  constructor(target: Target, context: DriverContext) {
    const { logger, prefix } = context.options;
    this.#context = context;
    this.#subjects = new Subjects(prefix);
    this.#topics = new Topics(this.#subjects, logger, (where) => this.#events?.undecodable(where));
    this.#link = new Link(target, `busgate ${context.process}`, logger, {
      arrived: (session) => this.#arrived(session),
      left: (reason) => this.#left(reason),
    });
  }

  get capabilities(): Capabilities {
    return { roomOrder: 'publisher', history: false, queues: false, groups: true, processes: true };
  }

  async open(events: DriverEvents): Promise<void> {
    this.#events = events;
    await this.#link.open();
  }

  topicName(topic: Topic): string {
    return this.#subjects.topic(topic);
  }

  async publish(topic: Topic, payload: Uint8Array): Promise<number | undefined> {
    const subject = this.#subjects.topic(topic);
    if (topic.kind !== 'process') {
      await this.#connected().publish(subject, payload);
      return undefined;
    }
    return (await this.#connected().publishTo(subject, payload)) ? undefined : 0;
  }

  async subscribe(topic: Topic, sink: TopicSink, history?: HistoryRule): Promise<void> {
    const session = this.#connected();
    if (history !== undefined) throw this.#unsupported();
    await this.#topics.subscribe(session, topic, sink, history);
  }

  async unsubscribe(topic: Topic): Promise<void> {
    this.#topics.unsubscribe(topic);
  }

  async push(_queue: string, _payload: Uint8Array): Promise<boolean> {
    throw this.#unsupported();
  }

  async pop(_queue: string, _max: number, _signal: AbortSignal): Promise<readonly Taken[]> {
    throw this.#unsupported();
  }

  async addMember(_group: string, _queue: string): Promise<void> {
    throw this.#unsupported();
  }

  async removeMember(_group: string, _queue: string): Promise<void> {
    throw this.#unsupported();
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    await this.#connected().publish(this.#subjects.topic({ kind: 'group', name: group }), payload);
    return { queues: [] };
  }

  async append(_room: string, _payload: Uint8Array, _rule: HistoryRule): Promise<Position> {
    throw this.#unsupported();
  }

  async read(_room: string, _rule: HistoryRule, _after?: Position): Promise<HistoryPage> {
    throw this.#unsupported();
  }

  async flush(): Promise<void> {
    this.#connected();
  }

  async close(): Promise<void> {
    this.#topics.close();
    await this.#link.close();
    this.#session = undefined;
  }

  #connected(): Session {
    if (this.#session === undefined) throw away(this.#why);
    return this.#session;
  }

  async #arrived(session: Session): Promise<void> {
    const { facts } = session.connection;
    if (facts.maxPayload < this.#context.options.maxMessageBytes) {
      this.#context.options.logger.warn(
        'the NATS server takes smaller messages than this layer: raise max_payload in its configuration, or lower the limit here',
        {
          maxPayload: facts.maxPayload,
          maxMessageBytes: this.#context.options.maxMessageBytes,
        },
      );
    }
    await this.#topics.renew(session);
    await session.prove();
    if (session.ended !== undefined) throw away(session.ended);
    this.#session = session;
    this.#events?.state('connected');
    this.#topics.release(session);
  }

  #left(reason: string): void {
    this.#session = undefined;
    this.#why = reason;
    this.#events?.state('away', reason);
  }

  #unsupported(): LayerError {
    return new LayerError(
      'UNSUPPORTED',
      'this NATS server has no JetStream, which queues and history need: start it with nats-server -js, or put jetstream {} into its configuration; layers that can besides: memory:, redis://',
    );
  }
}
