import type { Clock } from './clock.ts';
import type { JetStream } from './jetstream.ts';
import type { Session } from './session.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/**
 * Worker queues that are members of groups: a message in a stream for each, whose subject holds group, queue and when the membership ends, so that
 * one question answers all of a group's.
 */
export class Members {
  readonly #jetStream: JetStream;
  readonly #streams: Streams;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #expiryMs: number;
  readonly #plan: StreamPlan;
  /** Questions of this turn, one a group. */
  #asking = new Map<string, Promise<readonly string[]>>();
  /** Answers are given in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: Clock }, plan: StreamPlan, expiryMs: number) {
    this.#jetStream = parts.jetStream;
    this.#streams = parts.streams;
    this.#subjects = parts.subjects;
    this.#clock = parts.clock;
    this.#expiryMs = expiryMs;
    this.#plan = plan;
  }

  async add(session: Session, group: string, queue: string): Promise<void> {
    await this.#clock.set(session);
    const subject = this.#subjects.member(group, queue, Math.ceil(this.#clock.now() + this.#expiryMs));
    const { seq } = await this.#streams.store(session, this.#plan, subject, new Uint8Array(0));
    await this.#jetStream.purge(session, this.#plan.name, { filter: this.#subjects.members(group, queue), seq });
  }

  async remove(session: Session, group: string, queue: string): Promise<void> {
    await this.#jetStream.purge(session, this.#plan.name, { filter: this.#subjects.members(group, queue) });
  }

  /** Asked after this call began, answered in the order of the calls. */
  async of(session: Session, group: string): Promise<readonly string[]> {
    const before = this.#last;
    let asked = this.#asking.get(group);
    if (asked === undefined) {
      asked = this.#ask(session, group);
      this.#asking.set(group, asked);
    }
    this.#last = asked.catch(() => undefined).then(() => before);
    const queues = await asked;
    await before;
    return queues;
  }

  async #ask(session: Session, group: string): Promise<readonly string[]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    setImmediate(resolve);
    await promise;
    this.#asking.delete(group);
    const info = await this.#jetStream.stream(session, this.#plan.name, this.#subjects.members(group));
    const members = Object.keys(info?.state.subjects ?? {}).map((subject) => this.#subjects.readMember(subject));
    if (members.length === 0) return [];
    await this.#clock.set(session);
    const now = this.#clock.now();
    return [...new Set(members.filter(({ endsAt }) => endsAt > now).map(({ queue }) => queue))];
  }
}
