import { Buffer } from 'node:buffer';
import type { DriverEvents, Finding, LayerLogger, ResolvedOptions } from '@busgate/layer/driver';
import { BrokerClock } from './broker-clock.ts';
import type { Arrival } from './connection.ts';
import { examine } from './examine.ts';
import { Histories } from './histories.ts';
import { JetStream } from './jetstream.ts';
import { NatsLeases } from './leases.ts';
import { GroupMembers } from './members.ts';
import type { HistoryPlan } from './plans.ts';
import { Queues } from './queues.ts';
import { NatsRecords } from './records.ts';
import type { Session } from './session.ts';
import { Streams, type StreamPlan } from './streams.ts';
import type { Subjects } from './subjects.ts';
import type { Target } from './url.ts';

/** How often the streams of rooms with history are looked at, where nothing tells of a change. */
const CHECK_MS = 5000;

export interface KeepingEvents extends Pick<DriverEvents, 'fault'> {
  readonly session: () => Session | undefined;
  /** The session; throws where there is none, or JetStream is not there. */
  readonly ready: () => Session;
  readonly onChange: (then: () => void) => () => void;
  /** The history of these rooms began a new epoch, or could not be read and now can. */
  readonly missed: (plan: HistoryPlan) => void;
}

/** All that JetStream keeps for one prefix. */
export class Keeping {
  readonly queues: Queues;
  readonly members: GroupMembers;
  readonly histories: Histories;
  readonly records: NatsRecords;
  readonly leases: NatsLeases;
  readonly #jetStream: JetStream;
  readonly #clock: BrokerClock;
  readonly #subjects: Subjects;
  readonly #logger: LayerLogger;
  readonly #events: KeepingEvents;
  #there = true;
  #timer: NodeJS.Timeout | undefined;

  constructor(target: Target, options: ResolvedOptions, subjects: Subjects, events: KeepingEvents) {
    this.#subjects = subjects;
    this.#logger = options.logger;
    this.#events = events;
    this.#jetStream = new JetStream(target.domain, (kind, reason) => events.fault(kind, reason));
    const jetStream = this.#jetStream;
    const groups: StreamPlan = {
      name: `${subjects.streams}_GROUP`,
      subjects: [subjects.all('member'), subjects.all('clock')],
      maxAgeMs: options.groupExpiryMs,
      maxPerSubject: 1,
      fixed: () => ({ retention: 'limits', discard: 'old' }),
      keepsLongerAge: true,
    };
    const streams = new Streams(
      { jetStream, logger: options.logger, subjects, brokerTime: (session) => clock.read(session) },
      target.replicas,
      groups,
      (name) => this.#onReplaced(name),
    );
    const ticks = streams.writer(groups, (session) => streams.ensure(session, groups));
    const tick = { subject: subjects.clock, payload: new Uint8Array(0) };
    const clock = new BrokerClock(
      jetStream,
      subjects.clock,
      async (session) => (await ticks.write(session, { key: subjects.clock, bytes: 0 }, () => tick)).stream,
    );
    this.#clock = clock;
    const parts = { jetStream, streams, subjects, clock, logger: options.logger };
    this.queues = new Queues(parts, options, { session: events.session, onChange: events.onChange });
    this.leases = new NatsLeases(parts, { session: events.ready, push: (...message) => this.queues.pushAnyhow(...message) });
    this.members = new GroupMembers(parts, groups, options.groupExpiryMs);
    this.histories = new Histories(parts, options.history);
    this.records = new NatsRecords(parts, events.ready);
  }

  /** Whether JetStream is there, as far as is known. */
  get isThere(): boolean {
    return this.#there;
  }

  /**
   * A new connection: finds out what there is, and watches our streams. Where the server was started anew it is clear before the first message
   * comes which epoch that is of.
   */
  async arrive(session: Session): Promise<void> {
    this.#there = await this.#jetStream.isThere(session);
    if (!this.#there) {
      this.#logger.warn('this NATS server has no JetStream: queues, leases and history are UNSUPPORTED until it is enabled (nats-server -js)');
      return;
    }
    this.#watch(session, this.queues.stream, (action) => action !== 'modify' && this.queues.streamChanged(session));
    for (const plan of this.histories.plans) this.#watch(session, plan.name, () => this.#checkHistory(session, plan));
    if (this.histories.plans.length > 0) this.#watch(session, this.histories.heads, (action) => action === 'delete' && this.#checkHistories());
    if (this.#jetStream.startOf(session) !== undefined) await Promise.all(this.histories.plans.map((plan) => this.#stateOfHistory(session, plan)));
  }

  /** The connection counts: streams of rooms with history are made where they are missing, so that what others publish is kept from now on. */
  settle(): void {
    if (!this.#there) return;
    this.#checkHistories();
    this.#timer ??= this.histories.plans.length === 0 ? undefined : setInterval(() => this.#checkHistories(), CHECK_MS).unref();
  }

  /** Empties every stream of the prefix. */
  async flush(session: Session): Promise<void> {
    const streams = await this.#jetStream.streamsOf(session, this.#subjects.everything);
    const ours = streams.filter((name) => name.startsWith(`${this.#subjects.streams}_`));
    await this.queues.forgetIds(session);
    await Promise.all(ours.map((name) => this.histories.forgetIds(session, name).then(() => this.#jetStream.purge(session, name))));
  }

  /** Looks at what JetStream has of ours, and at its limits. */
  async examine(session: Session, maxMessageBytes: number): Promise<readonly Finding[]> {
    const names = this.#there ? await this.#jetStream.streamsOf(session, this.#subjects.everything) : [];
    const ours = names.filter((name) => name.startsWith(`${this.#subjects.streams}_`)).toSorted();
    const what = { maxMessageBytes, streams: ours, keepsHistories: this.histories.plans.length > 0, brokerTime: () => this.#clock.read(session) };
    return await examine(session, this.#there ? this.#jetStream : undefined, what);
  }

  close(): void {
    clearInterval(this.#timer);
    this.queues.close();
  }

  #checkHistories(): void {
    const session = this.#events.session();
    if (session === undefined) return;
    for (const plan of this.histories.plans) void this.#checkHistory(session, plan);
  }

  async #checkHistory(session: Session, plan: HistoryPlan): Promise<void> {
    if ((await this.#stateOfHistory(session, plan)) !== undefined) this.#events.missed(plan);
  }

  async #stateOfHistory(session: Session, plan: HistoryPlan): Promise<'new epoch' | 'unread' | undefined> {
    try {
      const news = await this.histories.newsOf(session, plan);
      if (news === 'new epoch') this.#events.fault('data_lost', `the stream ${plan.name} is another one: its rooms begin a new epoch`);
      return news;
    } catch (error) {
      if (session.ended === undefined) this.#logger.error('the stream of a history is not as it should be', { stream: plan.name, reason: String(error) });
      return undefined;
    }
  }

  /** Of a history it is told with its new epoch. */
  #onReplaced(stream: string): void {
    if (this.histories.plans.some(({ name }) => name === stream)) return;
    this.#events.fault('data_lost', `the stream ${stream} was deleted: what was in it is gone`);
  }

  /** JetStream tells when a stream is made, changed or removed. Where this user may not hear it, the regular look finds it later. */
  #watch(session: Session, stream: string, then: (action: string) => unknown): void {
    session.subscribe(`$JS.EVENT.ADVISORY.STREAM.*.${stream}`, {
      message: (arrival) => then(actionIn(arrival)),
      refused: () => undefined,
    });
  }
}

function actionIn({ payload }: Arrival): string {
  try {
    return String((JSON.parse(Buffer.from(payload).toString()) as { action?: unknown }).action);
  } catch {
    return '';
  }
}
