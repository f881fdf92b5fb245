import { setTimeout as delay } from 'node:timers/promises';
import type { LayerLogger } from '@busgate/layer/driver';
import type { BrokerTime } from './broker-clock.ts';
import { decide } from './decisions.ts';
import { JetStreamError, JS, isJetStream } from './errors.ts';
import { nanoseconds, type JetStream, type StreamConfig, type StreamInfo } from './jetstream.ts';
import type { Session } from './session.ts';
import { StreamWriter, type Refusal, type Writing } from './stream-writer.ts';
import type { Subjects } from './subjects.ts';

/** A stream that was there and is gone from the same server is made anew after this time: made sooner, while a busy server is still removing it, it keeps messages and hands out none. */
const MOURNING_MS = 1000;
/** In a cluster it takes a moment until each server knows that a stream is there, and longer where its leader is being elected. */
const ELECTION_MS = 5000;
const LOOK_AGAIN_MS = 50;
const PROBE = '_probe';
/** JetStream allows no shorter age. */
const SHORTEST_AGE_MS = 100;

type Use = 'reads' | 'writes';

/** What a stream of ours should be like. */
export interface StreamPlan {
  readonly name: string;
  /** The last of them is one that nobody listens to, or has room for such a one. */
  readonly subjects: readonly string[];
  /** `Infinity`: messages do not get too old. */
  readonly maxAgeMs: number;
  readonly maxPerSubject: number;
  /** How long the ids of messages are remembered; without it as long as the server does by itself. */
  readonly remembersIdsMs?: number;
  /** Settings that are made once; `start` names this start of the server, as in {@link JetStream.startOf}. */
  readonly fixed: (start: string | undefined) => Readonly<Record<string, unknown>>;
  /** Settings that change besides where it is made to keep more of each subject than it did. */
  readonly onGrowth?: (there: StreamInfo) => Partial<StreamConfig>;
  /** Whether an age that is there already and longer stays, since others may need it. */
  readonly keepsLongerAge: boolean;
  /** Whether each process would make it with settings of its own, so that those who make it at once must agree first. */
  readonly differs?: boolean;
}

/**
 * Makes our streams where they are missing. One that is otherwise than this process was told is changed when this process first writes to it, once in its
 * life: of two that were told differently the one that came last has its way, and they do not fight. What was found is remembered for as long as the connection lasts.
 */
export class Streams {
  readonly #jetStream: JetStream;
  readonly #brokerTime: BrokerTime;
  readonly #replicas: number | undefined;
  readonly #logger: LayerLogger;
  readonly #replaced: (name: string) => void;
  readonly #companion: StreamPlan;
  readonly #decisionOn: (stream: string) => string;
  /** When each stream that was found was made, and at which start of the server it was there. */
  readonly #made = new Map<string, { readonly created: string; readonly start: string | undefined }>();
  readonly #adapted = new Set<string>();
  readonly #known = new WeakMap<Session, Map<string, Promise<StreamInfo>>>();
  /** When each stream was made that our server is known to reach. */
  readonly #reached = new WeakMap<Session, Map<string, string>>();

  /**
   * `companion` is the stream that readers of every other one need: it is made together with the first, so that in a cluster no reader waits for its
   * election. `replaced` is called when a stream is another one than was found before.
   */
  constructor(
    parts: { jetStream: JetStream; logger: LayerLogger; subjects: Subjects; brokerTime: BrokerTime },
    replicas: number | undefined,
    companion: StreamPlan,
    replaced: (name: string) => void,
  ) {
    this.#jetStream = parts.jetStream;
    this.#brokerTime = parts.brokerTime;
    this.#logger = parts.logger;
    this.#replicas = replicas;
    this.#companion = companion;
    this.#decisionOn = (stream) => parts.subjects.decision(stream);
    this.#replaced = replaced;
  }

  /** Name of the stream that is there with every other one. */
  get companion(): string {
    return this.#companion.name;
  }

  /** Makes it where it is missing; a process that only reads changes nothing about one that is there. */
  ensure(session: Session, plan: StreamPlan, use: Use = 'writes'): Promise<StreamInfo> {
    const known = this.#known.get(session) ?? new Map<string, Promise<StreamInfo>>();
    this.#known.set(session, known);
    const key = use === 'reads' ? asRead(plan.name) : plan.name;
    const there = known.get(plan.name) ?? known.get(key);
    if (there !== undefined) return there;
    const made = this.#make(session, plan, use);
    known.set(key, made);
    made.catch(() => known.delete(key));
    return made;
  }

  /** It is not what it was: the next {@link ensure} looks again. */
  forget(session: Session, name: string): void {
    for (const key of [name, asRead(name)]) this.#known.get(session)?.delete(key);
  }

  /** Writes to a stream; `prepare` makes that one and whatever else its messages need. */
  writer<Ready>(
    plan: StreamPlan,
    prepare: (session: Session) => Promise<Ready>,
    mayTryAgain: Writing<Ready>['mayTryAgain'] = (session, refusal) => this.mayTryAgain(session, plan, refusal),
  ): StreamWriter<Ready> {
    return new StreamWriter({ jetStream: this.#jetStream, prepare, mayTryAgain });
  }

  /**
   * Whether what a stream has refused may be sent once more. Where no server knew of it, it is made anew: then for some seconds in a cluster, where each
   * server has to learn of it. Where a message with the same id is being kept, until that is done and its position is the answer.
   */
  async mayTryAgain(session: Session, plan: StreamPlan, { why, attempts, waitedMs }: Refusal): Promise<boolean> {
    if (!isJetStream(why, JS.nobody, JS.idUnderWay)) return false;
    if (isJetStream(why, JS.nobody)) {
      this.forget(session, plan.name);
      this.#reached.get(session)?.delete(plan.name);
      if (attempts === 1) return true;
    }
    if (!session.connection.facts.clustered || waitedMs > ELECTION_MS) return false;
    await delay(LOOK_AGAIN_MS);
    return true;
  }

  async #make(session: Session, plan: StreamPlan, use: Use): Promise<StreamInfo> {
    const made = await this.#makeOrFind(session, plan, use);
    const before = this.#made.get(plan.name);
    this.#made.set(plan.name, { created: made.created, start: this.#jetStream.startOf(session) });
    if (before !== undefined && before.created !== made.created) this.#replaced(plan.name);
    await this.#reach(session, plan, made);
    return made;
  }

  /** Resolves when our server knows where the stream is: it answers to what it must refuse, on its last subject, which its servers take last. */
  async #reach(session: Session, { name, subjects }: StreamPlan, { created }: StreamInfo): Promise<void> {
    const subject = (subjects.at(-1) ?? '').replaceAll('*', PROBE).replace(/>$/, PROBE);
    const reached = this.#reached.get(session) ?? new Map<string, string>();
    this.#reached.set(session, reached);
    if (reached.get(name) === created) return;
    const until = performance.now() + ELECTION_MS;
    while (performance.now() < until) {
      const answer = await session.request(subject, new Uint8Array(0), { 'Nats-Expected-Stream': PROBE });
      if (answer.status !== 503) {
        reached.set(name, created);
        return;
      }
      await delay(LOOK_AGAIN_MS);
    }
  }

  async #makeOrFind(session: Session, plan: StreamPlan, use: Use): Promise<StreamInfo> {
    const there = await this.#jetStream.stream(session, plan.name);
    if (there !== undefined) {
      if (use === 'reads') return there;
      const adapted = this.#adapted.has(plan.name) ? there : await this.#adapt(session, plan, there);
      this.#adapted.add(plan.name);
      return adapted;
    }
    try {
      const before = this.#made.get(plan.name);
      if (before !== undefined && before.start === this.#jetStream.startOf(session)) await delay(MOURNING_MS);
      const [made] = await Promise.all([this.#create(session, plan), this.#accompany(session, plan)]);
      this.#adapted.add(plan.name);
      return made;
    } catch (error) {
      // A server that is just making it for somebody else may answer that its subjects are taken, and one of a cluster that there is none.
      if (!isJetStream(error, JS.streamNameInUse, JS.noSuchStream, JS.subjectsOverlap)) throw error;
      return this.#others(session, plan, error);
    }
  }

  /** The stream that another process was quicker to make; it may not be there yet. */
  async #others(session: Session, plan: StreamPlan, error: unknown): Promise<StreamInfo> {
    const until = performance.now() + ELECTION_MS;
    for (;;) {
      const quicker = await this.#jetStream.stream(session, plan.name);
      if (quicker !== undefined) return quicker;
      if (isJetStream(error, JS.subjectsOverlap)) await this.#refuseForeign(session, plan);
      if (performance.now() > until) throw error;
      await delay(LOOK_AGAIN_MS);
    }
  }

  /** Throws where a stream that is not of this plan has some of its subjects: waiting does not help. */
  async #refuseForeign(session: Session, plan: StreamPlan): Promise<void> {
    const names = await Promise.all(plan.subjects.map((subject) => this.#jetStream.streamsOf(session, subject)));
    const foreign = [...new Set(names.flat())].filter((name) => name !== plan.name);
    if (foreign.length === 0) return;
    throw new JetStreamError(`make the stream ${plan.name}`, {
      err_code: JS.subjectsOverlap,
      description: `the stream ${foreign.join(' and ')} captures some of ${plan.subjects.join(' and ')} already; remove it (nats stream rm), or use another prefix`,
    });
  }

  /** What hinders it is told to those who need it. */
  async #accompany(session: Session, plan: StreamPlan): Promise<void> {
    if (plan !== this.#companion) await this.ensure(session, this.#companion).catch(() => undefined);
  }

  /** The settings that a stream is made with, the same in all processes that make it at once. */
  async #fixed(session: Session, plan: StreamPlan): Promise<Readonly<Record<string, unknown>>> {
    const own = plan.fixed(this.#jetStream.startOf(session));
    if (plan.differs !== true || !session.connection.facts.clustered) return own;
    const { config } = await this.ensure(session, this.#companion);
    return decide({ jetStream: this.#jetStream, brokerTime: this.#brokerTime }, session, { stream: config.name, subject: this.#decisionOn(plan.name) }, own);
  }

  async #create(session: Session, plan: StreamPlan): Promise<StreamInfo> {
    const replicas = this.#replicas ?? (session.connection.facts.clustered ? 3 : 1);
    const fixed = await this.#fixed(session, plan);
    const config = (copies: number): StreamConfig => ({
      storage: 'file',
      ...fixed,
      name: plan.name,
      subjects: plan.subjects,
      max_age: ageOf(plan),
      max_msgs_per_subject: plan.maxPerSubject,
      duplicate_window: nanoseconds(plan.remembersIdsMs ?? 0),
      num_replicas: copies,
    });
    try {
      return await this.#jetStream.createStream(session, config(replicas));
    } catch (error) {
      if (this.#replicas !== undefined || replicas === 1 || !isJetStream(error, JS.tooManyReplicas, JS.noSuitablePeers)) throw error;
      this.#logger.warn('JetStream has no three servers for a stream: it keeps one copy', { stream: plan.name });
      return await this.#jetStream.createStream(session, config(1));
    }
  }

  async #adapt(session: Session, plan: StreamPlan, there: StreamInfo): Promise<StreamInfo> {
    const { config } = there;
    const wanted = ageOf(plan);
    const changed: StreamConfig = {
      ...config,
      ...(plan.maxPerSubject > config.max_msgs_per_subject ? plan.onGrowth?.(there) : {}),
      subjects: plan.subjects,
      max_age: plan.keepsLongerAge ? Math.max(config.max_age, wanted) : wanted,
      duplicate_window: nanoseconds(plan.remembersIdsMs ?? 0),
      max_msgs_per_subject: plan.maxPerSubject,
      num_replicas: this.#replicas ?? config.num_replicas,
    };
    const same =
      changed.max_age === config.max_age &&
      (plan.remembersIdsMs === undefined || changed.duplicate_window === config.duplicate_window) &&
      changed.max_msgs_per_subject === config.max_msgs_per_subject &&
      changed.num_replicas === config.num_replicas &&
      [...changed.subjects].toSorted().join(' ') === [...config.subjects].toSorted().join(' ');
    return same ? there : this.#jetStream.updateStream(session, changed);
  }
}

/** As JetStream counts it, where 0 is no end. */
function ageOf({ maxAgeMs }: StreamPlan): number {
  return maxAgeMs === Infinity ? 0 : nanoseconds(Math.max(maxAgeMs, SHORTEST_AGE_MS));
}

/** Under which a stream is known that was found by one who only reads. */
function asRead(name: string): string {
  return `${name} as it was found`;
}
