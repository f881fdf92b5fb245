import { Buffer } from 'node:buffer';
import type { RecordStore, StoredRecord } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import type { JetStream, StoredMessage } from './jetstream.ts';
import type { Session } from './session.ts';
import type { StreamWriter } from './stream-writer.ts';
import type { StreamPlan, Streams } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** No record is kept longer, in milliseconds: a hundred years. */
const LONGEST_MS = 36_525 * 86_400_000;
/** Records that are read at a time. */
const SLICE = 64;
/** When a record ends, in milliseconds since 1970 of the broker's clock. */
const ENDS = 'Busgate-Ends';

/**
 * Records: the last message of a subject for each, which says when it ends. A server that ends a message at a time of its own came only with NATS 2.11, so those that are over
 * stay until they are found.
 */
export class NatsRecords implements RecordStore {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #clock: BrokerClock;
  readonly #session: () => Session;
  readonly #plan: StreamPlan;
  readonly #streams: Streams;
  readonly #writer: StreamWriter<void>;

  /** `session` throws where there is none that can keep anything. */
  constructor(parts: { jetStream: JetStream; streams: Streams; subjects: Subjects; clock: BrokerClock }, session: () => Session) {
    const { jetStream, streams, subjects, clock } = parts;
    this.#jetStream = jetStream;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#session = session;
    this.#streams = streams;
    const plan: StreamPlan = {
      name: `${subjects.streams}_RECORD`,
      subjects: [subjects.all('record')],
      maxAgeMs: LONGEST_MS,
      maxPerSubject: 1,
      fixed: () => ({ retention: 'limits', discard: 'old' }),
      keepsLongerAge: true,
    };
    this.#plan = plan;
    this.#writer = streams.writer(plan, async (session) => {
      await Promise.all([streams.ensure(session, plan), clock.set(session)]);
    });
  }

  async keep(set: string, key: string, payload: Uint8Array, lifeMs: number): Promise<void> {
    const subject = this.#subjects.record(set, key);
    await this.#writer.write(this.#session(), { key: subject, bytes: payload.length }, () => ({
      subject,
      payload,
      headers: { [ENDS]: String(Math.ceil(this.#clock.now() + lifeMs)) },
    }));
  }

  async all(set: string): Promise<readonly StoredRecord[]> {
    const session = this.#session();
    await Promise.all([this.#streams.ensure(session, this.#plan, 'reads'), this.#clock.set(session)]);
    const info = await this.#jetStream.streamWithSubjects(session, this.#plan.name, this.#subjects.records(set));
    const found = Object.keys(info?.state.subjects ?? {});
    const records: StoredRecord[] = [];
    for (let from = 0; from < found.length; from += SLICE) {
      const read = await Promise.all(found.slice(from, from + SLICE).map((subject) => this.#read(session, subject)));
      records.push(...read.flatMap((record) => record ?? []));
    }
    return records;
  }

  /** Undefined where it is over: then it is taken away, unless another one has taken its place. */
  async #read(session: Session, subject: string): Promise<StoredRecord | undefined> {
    const message = await this.#jetStream.message(session, this.#plan.name, { last_by_subj: subject });
    if (message === undefined) return undefined;
    if (endOf(message) > this.#clock.now()) return { key: this.#subjects.keyOf(subject), payload: Buffer.from(message.data, 'base64') };
    await this.#jetStream.purge(session, this.#plan.name, { filter: subject, seq: message.seq + 1 });
    return undefined;
  }
}

/** What somebody else has put there never ends by itself. */
function endOf({ headers }: StoredMessage): number {
  const [, ends] = new RegExp(`^${ENDS}: *(\\d+)`, 'm').exec(headers) ?? [];
  return ends === undefined ? Infinity : Number(ends);
}
