import { Buffer } from 'node:buffer';
import { JS, isJetStream } from './errors.ts';
import { EXPECTED_LAST, type JetStream, type StoredMessage, type StreamInfo } from './jetstream.ts';
import { readState, writeState, type LeaseState } from './lease-messages.ts';
import type { Session } from './session.ts';
import type { StreamWriter } from './stream-writer.ts';
import type { Subjects } from './subjects.ts';

/** What a lease is, and where in the stream that stands. */
export interface WrittenLease {
  readonly lease: string;
  /** `foreign`: somebody else's message stands in its place, which says nothing of it. */
  readonly state: LeaseState | 'foreign';
  readonly sequence: number;
  /** When it was written, in milliseconds of the broker's clock. */
  readonly time: number;
}

/** What leases are, as their stream has it. */
export class LeaseStates {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #stream: string;
  readonly #writer: StreamWriter<StreamInfo>;

  constructor(parts: { readonly jetStream: JetStream; readonly subjects: Subjects }, stream: string, writer: StreamWriter<StreamInfo>) {
    this.#jetStream = parts.jetStream;
    this.#subjects = parts.subjects;
    this.#stream = stream;
    this.#writer = writer;
  }

  /** Undefined where there is no such lease. */
  async of(session: Session, lease: string): Promise<WrittenLease | undefined> {
    return this.#read(await this.#jetStream.message(session, this.#stream, { last_by_subj: this.#subjects.lease(lease) }));
  }

  /** The one that was written the longest ago of those from there on; undefined where there is none. */
  async oldest(session: Session, from: number): Promise<WrittenLease | undefined> {
    return this.#read(await this.#jetStream.message(session, this.#stream, { seq: from, next_by_subj: this.#subjects.lease('*') }));
  }

  /** How far the stream has come, and those of which there is a state; undefined where there is no stream. */
  async all(session: Session): Promise<{ readonly stream: StreamInfo; readonly leases: readonly string[] } | undefined> {
    const stream = await this.#jetStream.streamWithSubjects(session, this.#stream, this.#subjects.lease('*'));
    return stream && { stream, leases: Object.keys(stream.state.subjects ?? {}).map((subject) => this.#subjects.leaseOf(subject)) };
  }

  /** Undefined where there is none. */
  stream(session: Session): Promise<StreamInfo | undefined> {
    return this.#jetStream.stream(session, this.#stream);
  }

  /** Resolves with its sequence; rejects where another state than the expected one is there, which {@link isWrongSequence} tells. */
  async write(session: Session, lease: string, state: LeaseState, expected: number): Promise<number> {
    const subject = this.#subjects.lease(lease);
    const entry = { subject, payload: writeState(state), headers: { [EXPECTED_LAST]: `${expected}` } };
    return (await this.#writer.write(session, { key: subject, bytes: 0 }, () => entry)).seq;
  }

  /** What ended is forgotten, with all that it held. */
  async forget(session: Session, lease: string): Promise<void> {
    for (const filter of [this.#subjects.held(lease), this.#subjects.lease(lease)]) await this.#jetStream.purge(session, this.#stream, { filter });
  }

  #read(found: StoredMessage | undefined): WrittenLease | undefined {
    if (found === undefined) return undefined;
    const state = readState(Buffer.from(found.data, 'base64')) ?? 'foreign';
    return { lease: this.#subjects.leaseOf(found.subject), state, sequence: found.seq, time: found.time };
  }
}

export function isWrongSequence(error: unknown): boolean {
  return isJetStream(error, JS.wrongLastSequence, JS.wrongLastSequenceSoon);
}
