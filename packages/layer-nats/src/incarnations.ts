import { Buffer } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { LayerLogger } from '@busgate/layer/driver';
import type { BrokerTime, BrokerClock } from './broker-clock.ts';
import type { Arrival } from './connection.ts';
import { decide } from './decisions.ts';
import { JetStreamError } from './errors.ts';
import { leadsMajority, type JetStream, type StoredMessage, type StreamInfo } from './jetstream.ts';
import { readRecord, writeRecord, type StreamRecord } from './record.ts';
import type { Session } from './session.ts';
import type { StreamPlan } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** A leader that was elected just now may know less for a moment than there is: it is asked again this often before it is believed. */
const DOUBTS = 20;
const DOUBT_MS = 250;

/** A stream as it is, and the epoch of what is in it. */
export interface Incarnation {
  readonly epoch: string;
  readonly stream: StreamInfo;
}

/** What this process knows of a stream. */
interface KnownStream {
  /** The epoch that the stream was made with. */
  readonly made: string;
  epoch: string;
  /** Epochs that it had before: none of them comes back. */
  readonly left: Set<string>;
  /** The connection through which it was compared last, and the server whose copy that was. */
  session: Session;
  leader: string | undefined;
  /** The newest message that is known to have been there. */
  highest: number;
  /** The newest message of which more is known than its sequence. */
  witness: number;
  /** When the stream took the witness, where that was told. Servers before 2.10 do not tell it with a live message: then its payload has to do. */
  time: string;
  arrival: Arrival | undefined;
}

/** What a stream should say of itself. */
interface StreamVerdict extends StreamRecord {
  readonly made: string;
  /** Whether it does not say so yet. */
  readonly changes: boolean;
  /** Why it is another epoch. */
  readonly reason?: string;
}

const LOST = 'messages that were in it are not there any more';
const UNKNOWN = 'its server was started anew, and no process that was there can tell that nothing was lost';

interface Expected {
  readonly time: string;
  readonly payload: Uint8Array | undefined;
}

/** `doubt`: what this process knew is not there any more, as when it has expired. */
type IncarnationFinding = 'same' | 'doubt' | 'lost';

/**
 * Tells whether a stream that came back is what it was. A server that lost its last messages, or was given an older copy of its files, uses their
 * sequences again. So a stream says by which start of the server it was used: after another one it goes on only where a process that knew it finds
 * the last message that it knew; else, and wherever a process finds less than it knew, a new epoch begins. In a cluster, where one server's start
 * means nothing, only what processes know counts, and is compared whenever another server leads the stream.
 */
export class Incarnations {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #logger: LayerLogger;
  readonly #brokerTime: BrokerTime;
  readonly #heads: string;
  readonly #decisions: string;
  readonly #memories = new Map<string, KnownStream>();
  readonly #byMaking = new Map<string, KnownStream>();
  #changing: Promise<unknown> = Promise.resolve();
  readonly #identified = new WeakMap<StreamInfo, Promise<Incarnation>>();

  /** `heads` names the stream that keeps the rooms' newest messages, `decisions` the one that keeps what processes agree on. */
  constructor(
    parts: { jetStream: JetStream; subjects: Subjects; logger: LayerLogger; clock: BrokerClock },
    { heads, decisions }: { readonly heads: string; readonly decisions: string },
  ) {
    this.#jetStream = parts.jetStream;
    this.#subjects = parts.subjects;
    this.#logger = parts.logger;
    this.#brokerTime = (session) => parts.clock.read(session);
    this.#heads = heads;
    this.#decisions = decisions;
  }

  /** Which one it is that was found so. */
  of(session: Session, plan: StreamPlan, found: StreamInfo): Promise<Incarnation> {
    const known = this.#identified.get(found);
    if (known !== undefined) return known;
    const identified = this.#identify(session, plan, found);
    this.#identified.set(found, identified);
    identified.catch(() => this.#identified.delete(found));
    return identified;
  }

  /** A message of the stream that was made with that epoch has come live; tells the epoch that it is of. */
  heard(made: string, sequence: number, arrival: Arrival): string {
    const memory = this.#byMaking.get(made);
    if (memory === undefined) return made;
    if (sequence > memory.highest) memory.highest = sequence;
    if (sequence > memory.witness) {
      memory.witness = sequence;
      memory.arrival = arrival;
    }
    return memory.epoch;
  }

  /** The stream has taken a message of ours. */
  stored({ epoch, stream }: Incarnation, sequence: number): void {
    const memory = this.#memories.get(stream.config.name);
    if (memory?.epoch === epoch && sequence > memory.highest) memory.highest = sequence;
  }

  async #identify(session: Session, plan: StreamPlan, found: StreamInfo): Promise<Incarnation> {
    const verdict = await this.#judge(session, plan, found);
    if (!verdict.changes) return this.#remember(session, found, verdict);
    const changed = this.#changing.then(() => this.#change(session, plan, found));
    this.#changing = changed.catch(() => undefined);
    return changed;
  }

  /** What was found may be older than what another process, or this one, has said of the stream since: it is judged anew before anything is done. */
  async #change(session: Session, plan: StreamPlan, before: StreamInfo): Promise<Incarnation> {
    // What was there before the stream was looked at is not of an epoch that another process begins meanwhile.
    const heads = await this.#jetStream.stream(session, this.#heads);
    const found = (await this.#jetStream.stream(session, plan.name)) ?? before;
    const verdict = await this.#judge(session, plan, found);
    if (!verdict.changes) return this.#remember(session, found, verdict);
    if (verdict.reason !== undefined && verdict.epoch !== this.#known(plan.name, verdict.made)?.epoch) {
      this.#logger.warn('the history on this stream begins a new epoch', { stream: plan.name, reason: verdict.reason });
      // What is known of quiet rooms was known of what is no more.
      const last = heads?.state.last_seq ?? 0;
      if (last > 0) await this.#jetStream.purge(session, this.#heads, { filter: this.#subjects.liveIn(verdict.made, '>'), seq: last + 1 });
    }
    const agreed = { ...verdict, epoch: await this.#agree(session, found, verdict) };
    const description = writeRecord(agreed, agreed.made);
    return this.#remember(session, await this.#jetStream.updateStream(session, { ...found.config, description }), agreed);
  }

  /** Processes at one server come to the same name by themselves; those of a cluster take that of the first, so that none of them is told two gaps. */
  async #agree(session: Session, { config }: StreamInfo, { made, start, epoch, reason }: StreamVerdict): Promise<string> {
    if (reason === undefined || start !== '') return epoch;
    const subject = this.#subjects.decision(`${config.name}.${readRecord(config.description, made).epoch}`);
    const decided = await decide({ jetStream: this.#jetStream, brokerTime: this.#brokerTime }, session, { stream: this.#decisions, subject }, { epoch }).catch(
      () => ({ epoch }),
    );
    return String(decided['epoch']);
  }

  async #judge(session: Session, plan: StreamPlan, found: StreamInfo): Promise<StreamVerdict> {
    const made = this.#subjects.madeWith(found.config);
    const known = this.#known(plan.name, made);
    const record = readRecord(found.config.description, made);
    const start = this.#jetStream.startOf(session) ?? record.start;
    const finding = known === undefined ? 'doubt' : await this.#compare(session, found, record, known);
    if (finding === 'lost') return { ...record, made, start, epoch: nextEpoch(record, start, known), changes: true, reason: LOST };
    if (start === record.start) return { made, ...record, changes: false };
    if (finding === 'same') return { ...record, made, start, changes: true };
    return { ...record, made, start, epoch: nextEpoch(record, start, known), changes: true, reason: UNKNOWN };
  }

  async #compare(session: Session, found: StreamInfo, record: StreamRecord, known: KnownStream): Promise<IncarnationFinding> {
    if (record.epoch !== known.epoch) return known.left.has(record.epoch) ? 'lost' : 'doubt';
    const { highest, witness } = known;
    const expected: Expected = { time: timeOf(known), payload: known.arrival?.payload };
    const newest = await this.#newest(session, found, highest);
    const { last_seq, last_ts } = newest.state;
    if (last_seq < highest) return 'lost';
    if (witness === 0 || isAsBefore(session, newest, known)) return 'same';
    if (last_seq === witness && last_ts === expected.time) return 'same';
    const there = await this.#jetStream.message(session, found.config.name, { seq: witness });
    if (there === undefined) return 'doubt';
    return isSame(there, expected) ? 'same' : 'lost';
  }

  /** Where the stream ends, which is `highest` or later if nothing was lost: what was found may be older than what has come since. */
  async #newest(session: Session, found: StreamInfo, highest: number): Promise<StreamInfo> {
    let newest = found;
    const doubts = session.connection.facts.clustered ? DOUBTS : 1;
    for (let asked = 0; newest.state.last_seq < highest && asked < doubts; asked += 1) {
      if (asked > 0) await delay(DOUBT_MS);
      newest = (await this.#jetStream.stream(session, found.config.name)) ?? newest;
    }
    if (newest.state.last_seq < highest && !leadsMajority(newest))
      throw new JetStreamError('describe a stream', { description: 'the server that answers for it does not reach a majority' });
    return newest;
  }

  #remember(session: Session, stream: StreamInfo, { made, epoch }: StreamVerdict): Incarnation {
    const { config, state, cluster } = stream;
    const before = this.#known(config.name, made);
    const same = before?.epoch === epoch ? before : undefined;
    const left = before?.left ?? new Set<string>();
    if (before !== undefined && same === undefined) left.add(before.epoch);
    const memory: KnownStream = same ?? { made, epoch, left, session, leader: cluster?.leader, highest: 0, witness: 0, time: '', arrival: undefined };
    memory.session = session;
    memory.leader = cluster?.leader;
    memory.highest = Math.max(memory.highest, state.last_seq);
    if (state.last_seq >= memory.witness) Object.assign(memory, { witness: state.last_seq, time: state.last_ts, arrival: undefined });
    const gone = this.#memories.get(config.name);
    if (gone !== undefined) this.#byMaking.delete(gone.made);
    this.#memories.set(config.name, memory);
    this.#byMaking.set(made, memory);
    return { epoch, stream };
  }

  #known(stream: string, made: string): KnownStream | undefined {
    const memory = this.#memories.get(stream);
    return memory?.made === made ? memory : undefined;
  }
}

/**
 * Processes at one server come to the same epoch after the same start of it, also where one that knew less has put back the epoch before: it is not left once
 * more. In a cluster each has a name of its own.
 */
function nextEpoch({ epoch }: StreamRecord, start: string, known: KnownStream | undefined): string {
  const salt = start === '' ? randomBytes(16).toString('hex') : start;
  let next = epoch;
  do next = createHash('sha256').update(`${next} ${salt}`).digest('hex').slice(0, 16);
  while (known?.left.has(next) === true);
  return next;
}

/** Whether it is the copy that was compared last. */
function isAsBefore(session: Session, { cluster }: StreamInfo, known: KnownStream): boolean {
  return session === known.session && cluster?.leader === known.leader;
}

function timeOf({ arrival, time }: KnownStream): string {
  return arrival === undefined ? time : arrival.header('Nats-Time-Stamp');
}

function isSame(there: StoredMessage, { time, payload }: Expected): boolean {
  return time === '' ? payload !== undefined && Buffer.from(payload).toString('base64') === there.data : there.timestamp === time;
}
