import type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import { EndedLeases } from './ended-leases.ts';
import { JetStreamError } from './errors.ts';
import type { JetStream, StoredMessage, StreamInfo } from './jetstream.ts';
import { readRecord, writeRecord } from './lease-messages.ts';
import { LeaseStates, isWrongSequence } from './lease-states.ts';
import { OverdueLeases } from './overdue-leases.ts';
import { PushedRecords, type PushAnyhow } from './pushed-records.ts';
import type { Session } from './session.ts';
import type { StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** A lease of this process. */
interface Own {
  readonly ttlMs: number;
  /** Sequence of its newest state, as far as this process knows. */
  sequence: number;
  /** The newest renewal that was confirmed. */
  renewal: number;
  /** The start of the server that it was granted or renewed at. */
  start: string | undefined;
  /** Until then nobody can have ended it, on `performance.now()`: they count from when they know that a renewal is there, and it was asked for before. */
  certainUntil: number;
}

/**
 * Leases in a stream: a subject for what each is, and one for each of its records. Who writes what a lease is says which state that replaces; so either its own process
 * renews it or another one ends it, and who comes second is refused. A record's message is pushed with its id first and the record goes after it: whoever repeats
 * that pushes an id that was seen. A server that starts anew knows no more ids of what was read meanwhile: what was pushed before, and not removed, is then removed
 * first, by the process that pushed it. It may have lost what it was told last, too, and is told all of it again.
 */
export class NatsLeases implements LeaseStore {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #plan: StreamPlan;
  readonly #writer: StreamWriter<StreamInfo>;
  readonly #session: () => Session;
  readonly #own = new Map<string, Own>();
  readonly #states: LeaseStates;
  readonly #overdue: OverdueLeases;
  readonly #pushed: PushedRecords;
  readonly #ended: EndedLeases;

  constructor(
    parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock },
    { session, push }: { readonly session: () => Session; readonly push: PushAnyhow },
  ) {
    this.#jetStream = parts.jetStream;
    this.#subjects = parts.subjects;
    this.#session = session;
    this.#plan = {
      name: `${parts.subjects.streams}_LEASE`,
      subjects: [parts.subjects.all('lease')],
      // A record lives as long as its session, which may be for ever.
      maxAgeMs: Infinity,
      maxPerSubject: 1,
      fixed: () => ({ retention: 'limits', discard: 'old' }),
      keepsLongerAge: false,
    };
    this.#writer = parts.streams.writer(this.#plan, (through) => parts.streams.ensure(through, this.#plan));
    this.#states = new LeaseStates(parts, this.#plan.name, this.#writer);
    this.#overdue = new OverdueLeases(this.#states, parts.clock);
    this.#pushed = new PushedRecords(parts.jetStream, this.#plan.name, push);
    this.#ended = new EndedLeases(parts, this.#plan.name, this.#pushed);
  }

  async grant(lease: string, ttlMs: number): Promise<void> {
    const session = this.#session();
    const asked = performance.now();
    const before = await this.#states.of(session, lease);
    if (before?.state === 'ended') throw new JetStreamError('grant a lease', { description: 'others have ended it' });
    const renewal = (this.#own.get(lease)?.renewal ?? 0) + 1;
    const sequence = await this.#states.write(session, lease, { ttlMs, renewal }, before?.sequence ?? 0);
    this.#own.set(lease, { ttlMs, sequence, renewal, start: this.#jetStream.startOf(session), certainUntil: asked + ttlMs });
  }

  async renew(lease: string, ttlMs: number): Promise<LeaseAnswer> {
    const session = this.#session();
    await this.#pushed.removeAll(session);
    const own = this.#own.get(lease);
    if (own === undefined || own.start !== this.#jetStream.startOf(session)) return this.#answerNow(session, lease, 'missing');
    const asked = performance.now();
    const renewal = own.renewal + 1;
    try {
      own.sequence = await this.#states.write(session, lease, { ttlMs, renewal }, own.sequence);
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      const found = await this.#states.of(session, lease);
      if (found === undefined || found.state === 'foreign') return 'missing';
      if (found.state === 'ended') return 'ended';
      // One whose answer was lost.
      own.sequence = await this.#states.write(session, lease, { ttlMs, renewal }, found.sequence);
    }
    own.renewal = renewal;
    own.certainUntil = asked + ttlMs;
    return 'done';
  }

  async hold(lease: string, records: readonly LeaseRecord[]): Promise<LeaseAnswer> {
    const session = this.#session();
    const before = await this.#answerNow(session, lease);
    if (before !== 'done') return before;
    await Promise.all(
      records.map((record) => {
        const entry = { ...writeRecord(record), subject: this.#subjects.held(lease, record.key) };
        return this.#writer.write(session, { key: entry.subject, bytes: record.payload.length }, () => entry);
      }),
    );
    const after = await this.#answerNow(session, lease);
    if (after === 'ended') await Promise.all(records.map(({ key }) => this.#purge(session, this.#subjects.held(lease, key))));
    return after;
  }

  async settle(lease: string, key: string, message?: LastMessage): Promise<LeaseAnswer> {
    const session = this.#session();
    const before = await this.#answerNow(session, lease);
    if (before !== 'done') return before;
    const subject = this.#subjects.held(lease, key);
    if (message === undefined) {
      const taken = await this.#purge(session, subject);
      const after = await this.#answerNow(session, lease);
      return after === 'done' && taken === 0 ? 'missing' : after;
    }
    const found = await this.#message(session, subject);
    const record = found && readRecord(found);
    if (found === undefined || record === undefined) return (await this.#answerNow(session, lease)) === 'ended' ? 'ended' : 'missing';
    const isSeen = await this.#pushed.push(session, { subject, id: record.id }, message);
    // Where it cannot be removed now it is later.
    await this.#pushed.remove([subject], () => this.#jetStream.deleteMessage(session, this.#plan.name, found.seq)).catch(() => undefined);
    // Where it was pushed before and nobody has ended the lease it was this process that did.
    return isSeen && (await this.#states.of(session, lease))?.state === 'ended' ? 'ended' : 'done';
  }

  async release(lease: string): Promise<void> {
    await this.#purge(this.#session(), this.#subjects.lease(lease));
    this.#own.delete(lease);
  }

  overdue(): Promise<readonly string[]> {
    return this.#overdue.all(
      this.#session(),
      [...this.#own.values()].map(({ ttlMs }) => ttlMs),
    );
  }

  async settleEnded(lease: string, most: number): Promise<number> {
    const session = this.#session();
    if (!this.#overdue.hasEnded(lease) && (await this.#overdue.end(session, lease))) this.#ended.ended(lease);
    if (!this.#overdue.hasEnded(lease)) return 0;
    const settled = await this.#ended.settle(session, lease, most);
    if (settled === 0) this.#overdue.settled(lease);
    return settled ?? 0;
  }

  /** What a process may do with its lease just now, where others have not ended it `answer`: asked for only where they may have. */
  async #answerNow(session: Session, lease: string, answer: LeaseAnswer = 'done'): Promise<LeaseAnswer> {
    const own = this.#own.get(lease);
    if (own === undefined) return 'missing';
    if (performance.now() < own.certainUntil) return answer;
    const found = await this.#states.of(session, lease);
    if (found === undefined || found.state === 'foreign') return 'missing';
    return found.state === 'ended' ? 'ended' : answer;
  }

  #message(session: Session, subject: string): Promise<StoredMessage | undefined> {
    return this.#jetStream.message(session, this.#plan.name, { last_by_subj: subject });
  }

  #purge(session: Session, filter: string): Promise<number> {
    return this.#jetStream.purge(session, this.#plan.name, { filter });
  }
}
