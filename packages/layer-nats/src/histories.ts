import { Buffer } from 'node:buffer';
import type { HistoryPage, HistoryRule, LayerLogger, Position } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import type { Arrival } from './connection.ts';
import { HistoryReader, type PagedMessage } from './history-reader.ts';
import { Incarnations, type Incarnation } from './incarnations.ts';
import { headerOf, leadsMajority, MESSAGE_ID, type JetStream, type StoredMessage, type StreamInfo } from './jetstream.ts';
import { planHeads, planHistories, type HistoryPlan } from './plans.ts';
import { readRecord, writeRecord } from './record.ts';
import type { Session } from './session.ts';
import { type Look, SharedLook } from './shared-look.ts';
import type { StreamMessage, StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** Header: up to which sequence a room was let go of. */
const PURGED = 'Busgate-Purged';
const NOTHING = new Uint8Array(0);

/** What a stream knows of one room. */
interface Appended {
  readonly payload: Uint8Array;
  readonly id: string | undefined;
  readonly headers: StreamMessage['headers'] | undefined;
}

interface RoomStanding extends Incarnation {
  /** Sequence of the room's newest message, as far as anybody remembers. */
  readonly newest: { readonly sequence: number; readonly kept: boolean } | undefined;
}

/**
 * Rooms with history. A stream captures what is published to them, by whomever, and republishes it with its sequence and the previous one of the
 * same room. The epoch that it was made with is in the subject that it republishes on, so that each live message names its own.
 */
export class Histories {
  readonly #jetStream: JetStream;
  readonly #streams: Streams;
  readonly #subjects: Subjects;
  readonly #clock: BrokerClock;
  readonly #plans: ReadonlyMap<HistoryRule, HistoryPlan>;
  readonly #writers = new Map<HistoryPlan, StreamWriter<Incarnation>>();
  readonly #heads: StreamPlan;
  readonly #reader: HistoryReader;
  readonly #incarnations: Incarnations;
  readonly #looks = new WeakMap<Session, Map<HistoryPlan, SharedLook<Incarnation>>>();
  /** Streams of which something could not be read although the server is there, or was read where there may be more. */
  readonly #unread = new Set<HistoryPlan>();
  /** The epoch of each stream when it was looked at last, and the server that led it. */
  readonly #seen = new Map<string, { readonly epoch: string; readonly leader: string | undefined }>();

  constructor(parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock; logger: LayerLogger }, rules: readonly HistoryRule[]) {
    this.#jetStream = parts.jetStream;
    this.#streams = parts.streams;
    this.#subjects = parts.subjects;
    this.#clock = parts.clock;
    this.#plans = planHistories(rules, parts.subjects);
    this.#heads = planHeads(this.#plans.values(), parts.subjects);
    this.#reader = new HistoryReader(parts.jetStream);
    this.#incarnations = new Incarnations(parts, { heads: this.#heads.name, decisions: parts.streams.companion });
  }

  /** The streams of all rules. */
  get plans(): readonly HistoryPlan[] {
    return [...new Set(this.#plans.values())];
  }

  /** The stream that all rules share. */
  get heads(): string {
    return this.#heads.name;
  }

  /** Makes the stream that captures the rule's rooms, so that what anybody publishes from now on is kept. */
  async prepare(session: Session, rule: HistoryRule): Promise<void> {
    await this.#ensure(session, this.#planOf(rule));
  }

  /**
   * Looks whether a stream is what it was; makes it anew where it is gone. Says what its rooms must be told, if anything: a leader that died may have
   * kept what it has not republished.
   */
  async newsOf(session: Session, plan: HistoryPlan): Promise<'new epoch' | 'unread' | undefined> {
    for (const name of [plan.name, this.#heads.name]) this.#streams.forget(session, name);
    const { epoch, stream } = await this.#orUnread(session, plan, this.#ensure(session, plan));
    const leader = stream.cluster?.leader;
    const before = this.#seen.get(plan.name) ?? { epoch, leader };
    this.#seen.set(plan.name, { epoch, leader });
    if (before.leader !== leader || !leadsMajority(stream)) this.#unread.add(plan);
    const unread = leadsMajority(stream) && this.#unread.delete(plan);
    if (before.epoch !== epoch) return 'new epoch';
    return unread ? 'unread' : undefined;
  }

  /** Whoever appends with an id of what a stream of ours has kept so far appends anew. JetStream would remember it, also of what was purged. */
  async forgetIds(session: Session, name: string): Promise<void> {
    const stream = await this.#jetStream.stream(session, name);
    if (stream?.config.republish === undefined) return;
    const { config, state } = stream;
    const made = this.#subjects.madeWith(config);
    const description = writeRecord({ ...readRecord(config.description, made), flushed: state.last_seq }, made);
    await this.#jetStream.updateStream(session, { ...config, description });
  }

  async append(session: Session, room: string, { payload, id, headers }: Appended, rule: HistoryRule): Promise<Position> {
    const plan = this.#planOf(rule);
    const entry = { subject: this.#subjects.room(room), payload, ...(headers === undefined ? {} : { headers }) };
    if (id === undefined) return (await this.#append(session, plan, entry)).position;
    const first = await this.#append(session, plan, withId(entry, id));
    const flushed = first.duplicate ? await this.#flushedAt(session, plan) : 0;
    if (first.position.offset > flushed) return first.position;
    return (await this.#append(session, plan, withId(entry, `${id} ${flushed}`))).position;
  }

  /** The newest sequence that a stream had when it was flushed last. */
  async #flushedAt(session: Session, plan: HistoryPlan): Promise<number> {
    const { config } = (await this.#jetStream.stream(session, plan.name)) ?? {};
    return config === undefined ? 0 : readRecord(config.description, this.#subjects.madeWith(config)).flushed;
  }

  async #append(session: Session, plan: HistoryPlan, entry: StreamMessage): Promise<{ position: Position; duplicate: boolean }> {
    const { subject, payload } = entry;
    let before: Incarnation | undefined;
    const { seq, duplicate = false } = await this.#writerOf(plan).write(session, { key: subject, bytes: payload.length }, (incarnation) => {
      before = incarnation;
      return entry;
    });
    const after = await this.#ensure(session, plan);
    const kept = before === undefined || before.epoch === after.epoch || (await this.#has(session, after, { seq, payload })) ? after : before;
    this.#incarnations.stored(kept, seq);
    return { position: { epoch: kept.epoch, offset: seq }, duplicate };
  }

  /** Whether the stream, which began a new epoch while a message was on its way, is the one that kept it. */
  async #has(session: Session, { stream }: Incarnation, { seq, payload }: { seq: number; payload: Uint8Array }): Promise<boolean> {
    const there = await this.#jetStream.message(session, stream.config.name, { seq });
    return there?.data === Buffer.from(payload).toString('base64');
  }

  /** A live message has come; tells its epoch, where `made` is the one that its stream was made with. */
  heard(made: string, sequence: number, arrival: Arrival): string {
    return this.#incarnations.heard(made, sequence, arrival);
  }

  async read(session: Session, room: string, rule: HistoryRule, after: Position | undefined): Promise<HistoryPage> {
    const plan = this.#planOf(rule);
    return this.#orUnread(session, plan, this.#read(session, plan, { room, rule }, after));
  }

  /** Lets go of what the stream has of a room; where it stands the heads still say. Up to where it went is kept first: nothing else would tell it later. */
  async purge(session: Session, room: string, rule: HistoryRule): Promise<void> {
    const plan = this.#planOf(rule);
    this.#streams.forget(session, plan.name);
    const { stream } = await this.#ensure(session, plan);
    const filter = this.#subjects.room(room);
    const newest = await this.#jetStream.message(session, plan.name, { last_by_subj: filter });
    if (newest === undefined) return;
    await this.#jetStream.store(session, this.#purgedOn(stream, room), NOTHING, { [PURGED]: `${newest.seq}` });
    await this.#jetStream.purge(session, plan.name, { filter, seq: newest.seq + 1 });
  }

  /** What a stream cannot say just now, as in a part of a cluster that was cut off, its rooms may have missed: once it can they look. */
  async #orUnread<T>(session: Session, plan: HistoryPlan, asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      if (session.ended === undefined) this.#unread.add(plan);
      throw error;
    }
  }

  async #read(session: Session, plan: HistoryPlan, { room, rule }: { room: string; rule: HistoryRule }, after: Position | undefined): Promise<HistoryPage> {
    const standing = await this.#standing(session, plan, room);
    const { epoch, stream, newest } = standing;
    const head = newest?.sequence ?? stream.state.last_seq;
    if (after === undefined || after.epoch !== epoch || after.offset > Math.max(head, stream.state.last_seq))
      return { epoch, head, complete: false, messages: [], ...(this.#isFresh(standing) ? { fresh: true } : {}) };
    return this.#readAfter(session, { room, rule, plan }, { ...standing, head }, after.offset);
  }

  async #readAfter(
    session: Session,
    { room, rule, plan }: { room: string; rule: HistoryRule; plan: HistoryPlan },
    { epoch, stream, newest, head }: RoomStanding & { head: number },
    offset: number,
  ): Promise<HistoryPage> {
    const nothing: HistoryPage = { epoch, head: Math.max(head, offset), complete: true, messages: [] };
    if (newest !== undefined && newest.sequence <= offset) return nothing;
    if (newest?.kept !== true) return { ...nothing, complete: newest === undefined && isUntouched(stream, offset) };
    const subject = this.#subjects.room(room);
    const [read] = await Promise.all([
      this.#reader.read(session, stream, subject, { from: offset + 1, to: newest.sequence }),
      // Where it cannot be read just now, what was known of it will do.
      this.#clock.set(session).catch(() => undefined),
    ]);
    const oldest = await this.#jetStream.message(session, plan.name, { seq: 1, next_by_subj: subject });
    const kept = stillKept(read, oldest?.seq, newest.sequence);
    const [first] = kept;
    const isUncut = oldest !== undefined && first !== undefined && kept.length === read.length;
    const known = isUncut && (await this.#isWhole(session, plan, { stream, room, first: first.offset, oldest: oldest.seq }, offset));
    return this.#page({ epoch, rule, known, head }, kept);
  }

  #page(at: { epoch: string; rule: HistoryRule; known: boolean; head: number }, kept: readonly PagedMessage[]): HistoryPage {
    const oldest = this.#clock.now() - at.rule.ageMs;
    const messages = kept.filter(({ time }) => time > oldest).slice(-at.rule.size);
    return {
      epoch: at.epoch,
      head: Math.max(at.head, kept.at(-1)?.offset ?? 0),
      complete: at.known && messages.length === kept.length,
      messages: messages.map(({ offset, payload }) => ({ offset, payload })),
    };
  }

  /**
   * Whether what was read is all that followed `offset`, where `oldest` is the oldest of the room after the reading: none is missing where one from before
   * is still known, in the stream or among the heads, or where the stream has never had as many of the room as it keeps.
   */
  async #isWhole(
    session: Session,
    plan: HistoryPlan,
    { stream, room, first, oldest }: { stream: StreamInfo; room: string; first: number; oldest: number },
    offset: number,
  ): Promise<boolean> {
    const subject = this.#subjects.room(room);
    // The heads are another stream's: nobody waits for its leader who need not.
    if (oldest <= offset) return true;
    const [now, [before, last]] = await Promise.all([this.#jetStream.streamWithSubjects(session, plan.name, subject), this.#headsOf(session, stream, room)]);
    if (now === undefined) return false;
    if (before !== undefined && before <= offset && last === first) return true;
    return this.#hasAll(now, subject, offset) && (await this.#purgedUpTo(session, stream, room)) <= offset;
  }

  /** Whether the stream was never too full of the room for a message that followed `offset`. */
  #hasAll(stream: StreamInfo, subject: string, offset: number): boolean {
    const { config, state } = stream;
    const { grown } = readRecord(config.description, this.#subjects.madeWith(config));
    return isUntouched(stream, offset) && offset >= grown && (state.subjects?.[subject] ?? 0) < config.max_msgs_per_subject;
  }

  /** The newest sequence of the room that {@link purge} has let go of; 0 where there is none. */
  async #purgedUpTo(session: Session, stream: StreamInfo, room: string): Promise<number> {
    return Math.max(0, ...(await this.#twoHeads(session, this.#purgedOn(stream, room))).map((purged) => Number(headerOf(purged, PURGED))));
  }

  #purgedOn({ config }: StreamInfo, room: string): string {
    return this.#subjects.purgedIn(this.#subjects.madeWith(config), room);
  }

  async #standing(session: Session, plan: HistoryPlan, room: string, again = true): Promise<RoomStanding> {
    const { begun, seen } = this.#currentIncarnation(session, plan);
    await begun;
    const [{ epoch, stream }, last] = await Promise.all([seen, this.#jetStream.message(session, plan.name, { last_by_subj: this.#subjects.room(room) })]);
    if (!leadsMajority(stream)) this.#unread.add(plan);
    if (last !== undefined) return { epoch, stream, newest: { sequence: last.seq, kept: true } };
    const head = (await this.#headsOf(session, stream, room)).at(-1);
    // It came between the two questions: it is kept, and the next look finds it.
    if (again && head !== undefined && head > stream.state.last_seq) return this.#standing(session, plan, room, false);
    return { epoch, stream, newest: head === undefined ? undefined : { sequence: head, kept: false } };
  }

  /** Sequences of the room's newest two messages, the newest last; servers of 2.9 may have kept them in the other order. */
  async #headsOf(session: Session, { config }: StreamInfo, room: string): Promise<readonly number[]> {
    const heads = await this.#twoHeads(session, this.#subjects.liveIn(this.#subjects.madeWith(config), room));
    return heads.map(sequenceOf).toSorted((a, b) => a - b);
  }

  /** All that the heads' stream keeps of one subject; where that is one message, the same twice. */
  async #twoHeads(session: Session, subject: string): Promise<readonly StoredMessage[]> {
    const which = [{ seq: 1, next_by_subj: subject }, { last_by_subj: subject }];
    const heads = await Promise.all(which.map((one) => this.#jetStream.message(session, this.#heads.name, one)));
    return heads.filter((head) => head !== undefined);
  }

  /** What the stream is just now. */
  #currentIncarnation(session: Session, plan: HistoryPlan): Look<Incarnation> {
    const looks = this.#looks.get(session) ?? new Map<HistoryPlan, SharedLook<Incarnation>>();
    this.#looks.set(session, looks);
    const shared =
      looks.get(plan) ??
      new SharedLook(() => {
        this.#streams.forget(session, plan.name);
        return this.#ensure(session, plan);
      });
    looks.set(plan, shared);
    return shared.ask();
  }

  async #ensure(session: Session, plan: HistoryPlan): Promise<Incarnation> {
    const [stream] = await Promise.all([this.#streams.ensure(session, plan), this.#streams.ensure(session, this.#heads)]);
    return this.#incarnations.of(session, plan, stream);
  }

  /** Whether the stream was made with its epoch. */
  #isFresh({ epoch, stream }: Incarnation): boolean {
    return this.#subjects.madeWith(stream.config) === epoch;
  }

  #writerOf(plan: HistoryPlan): StreamWriter<Incarnation> {
    let writer = this.#writers.get(plan);
    if (writer === undefined) {
      writer = this.#streams.writer(plan, (session) => this.#ensure(session, plan));
      this.#writers.set(plan, writer);
    }
    return writer;
  }

  #planOf(rule: HistoryRule): HistoryPlan {
    const plan = this.#plans.get(rule);
    if (plan === undefined) throw new TypeError('a rule that is not of this layer');
    return plan;
  }
}

function withId(entry: StreamMessage, id: string): StreamMessage {
  return { ...entry, headers: { ...entry.headers, [MESSAGE_ID]: id } };
}

/**
 * Of what was read one by one, the oldest first, what the stream had still when all had been: it lets go of the oldest first, so between them none is missing. None
 * where it has let go of the newest.
 */
function stillKept(read: readonly PagedMessage[], oldest: number | undefined, newest: number): readonly PagedMessage[] {
  if (oldest === undefined || (read.at(-1)?.offset ?? 0) < newest) return [];
  return read.filter(({ offset }) => offset >= oldest);
}

/** A head's sequence in the stream that republished it. */
function sequenceOf(head: StoredMessage): number {
  return Number(headerOf(head, 'Nats-Sequence') ?? Number.MAX_SAFE_INTEGER);
}

/** Whether no message that followed `offset` has become too old for the stream. */
function isUntouched({ state }: StreamInfo, offset: number): boolean {
  return offset >= state.first_seq - 1;
}
