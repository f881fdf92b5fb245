import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import { EndedLeases } from './ended-leases.ts';
import { JS, JetStreamError, isJetStream } from './errors.ts';
import { EXPECTED_LAST, type JetStream, type StoredMessage, type StreamInfo } from './jetstream.ts';
import { readRecord, readState, writeRecord, writeState, type LeaseState } from './lease-messages.ts';
import { LeaseWatch } from './lease-watch.ts';
import { PushedRecords, type PushAnyhow } from './pushed-records.ts';
import type { Session } from './session.ts';
import type { StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** How long it is remembered at least that a lease has ended. */
const REMEMBERED_MS = 86_400_000;

/** A lease of this process. */
interface Own {
  /** Sequence of its newest state, as far as this process knows. */
  sequence: number;
  /** The newest renewal that was confirmed. */
  renewal: number;
  /** The start of the server that it was granted or renewed at. */
  start: string | undefined;
  /** Until then nobody can have ended it, on `performance.now()`: they count from when they hear of a renewal, and it was asked for before. */
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
  readonly #clock: BrokerClock;
  readonly #plan: StreamPlan;
  readonly #writer: StreamWriter<StreamInfo>;
  readonly #session: () => Session;
  readonly #watch = new LeaseWatch();
  readonly #own = new Map<string, Own>();
  readonly #attended = new WeakMap<Session, Promise<void>>();
  readonly #pushed: PushedRecords;
  readonly #ended: EndedLeases;

  constructor(
    parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock },
    { session, push }: { readonly session: () => Session; readonly push: PushAnyhow },
  ) {
    this.#jetStream = parts.jetStream;
    this.#subjects = parts.subjects;
    this.#clock = parts.clock;
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
    this.#pushed = new PushedRecords(parts.jetStream, this.#plan.name, push);
    this.#ended = new EndedLeases(parts, this.#plan.name, this.#pushed);
    this.#writer = parts.streams.writer(this.#plan, (through) => parts.streams.ensure(through, this.#plan));
  }

  async grant(lease: string, ttlMs: number): Promise<void> {
    const session = this.#session();
    this.#attend(session).catch(() => undefined);
    const asked = performance.now();
    const before = await this.#stateOf(session, lease);
    if (before?.state === 'ended') throw new JetStreamError('grant a lease', { description: 'others have ended it' });
    const renewal = (this.#own.get(lease)?.renewal ?? 0) + 1;
    const sequence = await this.#write(session, lease, { ttlMs, renewal }, before?.sequence ?? 0);
    this.#own.set(lease, { sequence, renewal, start: this.#jetStream.startOf(session), certainUntil: asked + ttlMs });
  }

  async renew(lease: string, ttlMs: number): Promise<LeaseAnswer> {
    const session = this.#session();
    this.#attend(session).catch(() => undefined);
    await this.#pushed.removeAll(session);
    const own = this.#own.get(lease);
    if (own === undefined || own.start !== this.#jetStream.startOf(session)) return this.#answerNow(session, lease, 'missing');
    const asked = performance.now();
    const renewal = own.renewal + 1;
    try {
      own.sequence = await this.#write(session, lease, { ttlMs, renewal }, own.sequence);
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      const found = await this.#stateOf(session, lease);
      if (found === undefined) return 'missing';
      if (found.state === 'ended') return 'ended';
      // One whose answer was lost.
      own.sequence = await this.#write(session, lease, { ttlMs, renewal }, found.sequence);
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
    const record = await this.#message(session, subject);
    if (record === undefined) return (await this.#answerNow(session, lease)) === 'ended' ? 'ended' : 'missing';
    const isSeen = await this.#pushed.push(session, { subject, id: readRecord(record).id }, message);
    // Where it cannot be removed now it is later.
    await this.#pushed.remove([subject], () => this.#jetStream.deleteMessage(session, this.#plan.name, record.seq)).catch(() => undefined);
    // Where it was pushed before and nobody has ended the lease it was this process that did.
    return isSeen && (await this.#stateOf(session, lease))?.state === 'ended' ? 'ended' : 'done';
  }

  async release(lease: string): Promise<void> {
    await this.#purge(this.#session(), this.#subjects.lease(lease));
    this.#own.delete(lease);
  }

  async overdue(): Promise<readonly string[]> {
    const session = this.#session();
    await this.#attend(session);
    await Promise.all(this.#watch.doubted.map((lease) => this.#look(session, lease)));
    if (this.#watch.unsettled.length === 0 && this.#watch.silent.length === 0) await this.#awaitNextSilence();
    const silent = this.#watch.silent;
    const news = await Promise.all(silent.map((lease) => this.#look(session, lease)));
    return [...this.#watch.unsettled, ...silent.filter((lease, index) => news[index] === false && !this.#watch.hasEnded(lease))];
  }

  async settleEnded(lease: string, most: number): Promise<number> {
    const session = this.#session();
    if (!this.#watch.hasEnded(lease) && !(await this.#end(session, lease))) return 0;
    const settled = await this.#ended.settle(session, lease, most);
    if (settled === 0) this.#watch.settled(lease);
    return settled ?? 0;
  }

  /** One that is over before the next look is waited for, so that it is settled at once. */
  async #awaitNextSilence(): Promise<void> {
    const nextMs = this.#watch.nextSilentMs;
    if (nextMs !== undefined) await delay(Math.ceil(nextMs) + 1, undefined, { ref: false });
  }

  /** Hears what leases are from now on, and learns what they are. Once a connection: the silence of all of them is counted anew. */
  #attend(session: Session): Promise<void> {
    const known = this.#attended.get(session);
    if (known !== undefined) return known;
    const attended = this.#listen(session);
    this.#attended.set(session, attended);
    attended.catch(() => this.#attended.delete(session));
    return attended;
  }

  async #listen(session: Session): Promise<void> {
    this.#watch.begin();
    const all = this.#subjects.lease('*');
    session.subscribe(all, {
      message: ({ subject, payload }) => this.#heard(this.#subjects.leaseOf(subject), readState(payload)),
      refused: () => undefined,
    });
    const stream = await this.#jetStream.streamWithSubjects(session, this.#plan.name, all);
    await this.#clock.set(session);
    const leases = Object.keys(stream?.state.subjects ?? {}).map((subject) => this.#subjects.leaseOf(subject));
    await Promise.all(leases.map((lease) => this.#learn(session, lease)));
  }

  /** What is published to a lease's subject need not have been kept: the stream may have refused it. */
  #heard(lease: string, state: LeaseState | undefined): void {
    if (state === 'ended') this.#watch.doubt(lease);
    else if (state !== undefined) this.#watch.heard(lease, state);
  }

  /** What ended long enough ago is forgotten by everybody. */
  async #learn(session: Session, lease: string): Promise<void> {
    if (this.#watch.knows(lease)) return;
    const found = await this.#stateOf(session, lease);
    if (found?.state !== 'ended' || this.#clock.now() - found.time < REMEMBERED_MS) {
      if (found !== undefined) this.#watch.heard(lease, found.state);
      return;
    }
    await this.#purge(session, this.#subjects.held(lease));
    await this.#purge(session, this.#subjects.lease(lease));
  }

  /** Asks what a lease is. False where that was known; undefined where there is none. */
  async #look(session: Session, lease: string): Promise<boolean | undefined> {
    const found = await this.#stateOf(session, lease);
    if (found !== undefined) return this.#watch.heard(lease, found.state);
    this.#watch.forget(lease);
    return undefined;
  }

  /** Marks a lease as ended, where nobody has renewed it for as long as it lasts. */
  async #end(session: Session, lease: string): Promise<boolean> {
    const found = await this.#stateOf(session, lease);
    if (found === undefined) return false;
    if (this.#watch.heard(lease, found.state) || !this.#watch.isSilent(lease)) return found.state === 'ended';
    try {
      await this.#write(session, lease, 'ended', found.sequence);
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      return false;
    }
    this.#watch.heard(lease, 'ended');
    this.#ended.ended(lease);
    return true;
  }

  /** What a process may do with its lease just now, where others have not ended it `answer`: asked for only where they may have. */
  async #answerNow(session: Session, lease: string, answer: LeaseAnswer = 'done'): Promise<LeaseAnswer> {
    const own = this.#own.get(lease);
    if (own === undefined) return 'missing';
    if (performance.now() < own.certainUntil) return answer;
    const found = await this.#stateOf(session, lease);
    if (found === undefined) return 'missing';
    return found.state === 'ended' ? 'ended' : answer;
  }

  async #stateOf(session: Session, lease: string): Promise<{ readonly state: LeaseState; readonly sequence: number; readonly time: number } | undefined> {
    const found = await this.#message(session, this.#subjects.lease(lease));
    const state = found === undefined ? undefined : readState(Buffer.from(found.data, 'base64'));
    return found === undefined || state === undefined ? undefined : { state, sequence: found.seq, time: found.time };
  }

  /** Resolves with its sequence; rejects where another state than the expected one is there. */
  async #write(session: Session, lease: string, state: LeaseState, expected: number): Promise<number> {
    const subject = this.#subjects.lease(lease);
    const entry = { subject, payload: writeState(state), headers: { [EXPECTED_LAST]: `${expected}` } };
    return (await this.#writer.write(session, { key: subject, bytes: 0 }, () => entry)).seq;
  }

  #message(session: Session, subject: string): Promise<StoredMessage | undefined> {
    return this.#jetStream.message(session, this.#plan.name, { last_by_subj: subject });
  }

  #purge(session: Session, filter: string): Promise<number> {
    return this.#jetStream.purge(session, this.#plan.name, { filter });
  }
}

function isWrongSequence(error: unknown): boolean {
  return isJetStream(error, JS.wrongLastSequence, JS.wrongLastSequenceSoon);
}
