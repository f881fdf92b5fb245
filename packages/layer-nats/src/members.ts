import type { BrokerClock } from './broker-clock.ts';
import type { JetStream } from './jetstream.ts';
import type { Session } from './session.ts';
import type { StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';
import { withResolvers } from '@busgate/layer/driver';

/**
 * Worker queues that are members of groups: a message in a stream for each, whose subject holds group, queue and when the membership ends (0: it
 * was ended), so that one question answers all of a group's.
 */
export class GroupMembers {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #clock: BrokerClock;
  readonly #expiryMs: number;
  readonly #plan: StreamPlan;
  readonly #writer: StreamWriter<void>;
  /** Questions of this turn, one a group. */
  #asking = new Map<string, Promise<readonly string[]>>();
  /** Answers are given in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock }, plan: StreamPlan, expiryMs: number) {
    const { jetStream, streams, clock } = parts;
    this.#jetStream = jetStream;
    this.#subjects = parts.subjects;
    this.#clock = clock;
    this.#expiryMs = expiryMs;
    this.#plan = plan;
    this.#writer = streams.writer(plan, async (session) => {
      await Promise.all([streams.ensure(session, plan), clock.set(session)]);
    });
  }

  async add(session: Session, group: string, queue: string, forMs = this.#expiryMs): Promise<void> {
    await this.#keep(session, group, queue, () => Math.ceil(this.#clock.now() + forMs));
  }

  /** What has ended is kept as well: a process that was away, and had added it, is to see that it was ended and not lost. */
  async remove(session: Session, group: string, queue: string): Promise<void> {
    await this.#keep(session, group, queue, () => 0);
  }

  /** Adds it again where it was lost; false where it has been ended. */
  async renew(session: Session, group: string, queue: string, forMs: number): Promise<boolean> {
    const there = await this.#memberships(session, this.#subjects.members(group, queue));
    if (there.length > 0) return there.some(({ endsAt }) => endsAt > 0);
    await this.add(session, group, queue, forMs);
    return true;
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
    const { promise, resolve } = withResolvers<void>();
    setImmediate(resolve);
    await promise;
    this.#asking.delete(group);
    const members = await this.#memberships(session, this.#subjects.members(group));
    if (members.length === 0) return [];
    await this.#clock.set(session);
    const now = this.#clock.now();
    return [...new Set(members.filter(({ endsAt }) => endsAt > now).map(({ queue }) => queue))];
  }

  async #memberships(session: Session, filter: string): Promise<{ queue: string; endsAt: number }[]> {
    const info = await this.#jetStream.streamWithSubjects(session, this.#plan.name, filter);
    return Object.keys(info?.state.subjects ?? {}).map((subject) => this.#subjects.readMember(subject));
  }

  async #keep(session: Session, group: string, queue: string, endsAt: () => number): Promise<void> {
    const all = this.#subjects.members(group, queue);
    const { seq } = await this.#writer.write(session, { key: all, bytes: 0 }, () => ({
      subject: this.#subjects.member(group, queue, endsAt()),
      payload: new Uint8Array(0),
    }));
    await this.#jetStream.purge(session, this.#plan.name, { filter: all, seq });
  }
}
