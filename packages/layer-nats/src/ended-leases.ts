import type { JetStream } from './jetstream.ts';
import { readRecord, recordIn } from './lease-messages.ts';
import type { PushedRecords } from './pushed-records.ts';
import type { Session } from './session.ts';
import { readStretch } from './stream-pages.ts';
import type { Subjects } from './subjects.ts';

/** Bytes of records that are read at once, unless one has more. */
const MOST_BYTES = 8_388_608;

/** One process is left to go on with a lease alone for so long, in milliseconds, */
const ALONE_MS = 5000;
/** and no longer than this while nothing is seen of that. */
const STILL_MS = 1500;

/** What was found at the looks at a lease that another process has ended. On `performance.now()`. */
interface Looked {
  readonly since: number;
  readonly left: number;
  /** Since when so many are left. */
  readonly leftSince: number;
}

/** A record as it was read. */
interface FoundRecord extends NonNullable<ReturnType<typeof recordIn>> {
  readonly subject: string;
  readonly seq: number;
}

/**
 * Settles the records of leases that have ended. The process that ended one takes the oldest of them, many with one reading and one removal. Others look on, since several at once cost
 * the server a multiple; where it stands still, or takes long, they help: one by one and in no order, so that they seldom meet.
 */
export class EndedLeases {
  readonly #jetStream: JetStream;
  readonly #subjects: Subjects;
  readonly #stream: string;
  readonly #pushed: PushedRecords;
  /** Those that this process has ended. */
  readonly #ours = new Set<string>();
  /** Subjects of records in the order in which this process comes to them. */
  readonly #left = new Map<string, string[]>();
  /** Those that others have ended, as long as they are left to them. */
  readonly #others = new Map<string, Looked | 'helped'>();

  constructor(parts: { readonly jetStream: JetStream; readonly subjects: Subjects }, stream: string, pushed: PushedRecords) {
    this.#jetStream = parts.jetStream;
    this.#subjects = parts.subjects;
    this.#stream = stream;
    this.#pushed = pushed;
  }

  /** This process, and no other, has ended it. */
  ended(lease: string): void {
    this.#ours.add(lease);
  }

  /** Settles up to `most` records; resolves with how many, 0 where none is left, and undefined where others go on with it. */
  async settle(session: Session, lease: string, most: number): Promise<number | undefined> {
    if (!this.#ours.has(lease) && (await this.#othersGoOn(session, lease))) return undefined;
    const settled = this.#ours.has(lease) ? await this.#settleOldest(session, lease, most) : 0;
    if (settled > 0) return settled;
    const last = await this.#settleAny(session, lease, most);
    if (last === 0) {
      this.#ours.delete(lease);
      this.#others.delete(lease);
    }
    return last;
  }

  async #othersGoOn(session: Session, lease: string): Promise<boolean> {
    const looked = this.#others.get(lease);
    if (looked === 'helped') return false;
    const left = (await this.#recordsOf(session, lease)).length;
    const now = performance.now();
    const { since, leftSince } = { since: now, leftSince: now, ...looked };
    const next: Looked = { since, left, leftSince: left === looked?.left ? leftSince : now };
    const goOn = left > 0 && now - next.since < ALONE_MS && now - next.leftSince < STILL_MS;
    this.#others.set(lease, goOn ? next : 'helped');
    return goOn;
  }

  /** 0 where not all of them could be. */
  async #settleOldest(session: Session, lease: string, most: number): Promise<number> {
    const found = await this.#oldest(session, lease, most);
    const pushes = await Promise.allSettled(found.map((record) => this.#pushed.push(session, record, record)));
    if (found.length === 0 || pushes.some(({ status }) => status === 'rejected')) return 0;
    if (session.connection.facts.clustered) return this.#removeEach(session, found);
    return this.#pushed.remove(
      found.map(({ subject }) => subject),
      () => this.#removeUpTo(session, lease, found.at(-1)?.seq ?? 0),
    );
  }

  /** What is older than the newest one that was read has been read, too: a server that is alone has one copy of it. */
  #removeUpTo(session: Session, lease: string, seq: number): Promise<number> {
    return this.#jetStream.purge(session, this.#stream, { filter: this.#subjects.held(lease), seq: seq + 1 });
  }

  async #removeEach(session: Session, found: readonly FoundRecord[]): Promise<number> {
    const removals = await Promise.all(found.map((record) => this.#remove(session, record)));
    return removals.filter(Boolean).length;
  }

  /** False where others were quicker, and where it could not be removed now: then it is later. */
  #remove(session: Session, record: { readonly subject: string; readonly seq: number }): Promise<boolean> {
    return this.#pushed.remove([record.subject], () => this.#jetStream.deleteQuickly(session, this.#stream, record)).catch(() => false);
  }

  /** The oldest ones, as far as they could be read, none between them left out. */
  async #oldest(session: Session, lease: string, most: number): Promise<readonly FoundRecord[]> {
    const found: FoundRecord[] = [];
    let bytes = 0;
    try {
      const stream = await this.#jetStream.stream(session, this.#stream);
      if (stream === undefined) return [];
      const stretch = { from: 1, to: stream.state.last_seq, subject: this.#subjects.held(lease), page: most };
      await readStretch(this.#jetStream, session, stream, stretch, ({ offset }, arrival) => {
        const record = recordIn(arrival);
        if (record === undefined) return true;
        bytes += arrival.payload.length;
        found.push({ ...record, subject: arrival.subject, seq: offset });
        return found.length < most && bytes < MOST_BYTES;
      });
    } catch {
      // As where this user may make no consumer of the stream: one by one it says so, or does without.
    }
    return found;
  }

  async #settleAny(session: Session, lease: string, most: number): Promise<number> {
    for (;;) {
      const subjects = await this.#nextRecords(session, lease, most);
      if (subjects.length === 0) return 0;
      const outcomes = await Promise.allSettled(subjects.map((subject) => this.#settleRecord(session, subject)));
      const settled = outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value).length;
      // Others are at it, too, and have most of what was still there when it was looked for.
      if (2 * settled < subjects.length) this.#left.delete(lease);
      if (settled > 0) return settled;
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  async #nextRecords(session: Session, lease: string, most: number): Promise<readonly string[]> {
    let left = this.#left.get(lease) ?? [];
    if (left.length === 0) {
      left = shuffled(await this.#recordsOf(session, lease));
    }
    const next = left.splice(0, most);
    if (left.length > 0) this.#left.set(lease, left);
    else this.#left.delete(lease);
    return next;
  }

  /** Their subjects. */
  async #recordsOf(session: Session, lease: string): Promise<readonly string[]> {
    const stream = await this.#jetStream.streamWithSubjects(session, this.#stream, this.#subjects.held(lease));
    return Object.keys(stream?.state.subjects ?? {});
  }

  /** False where others were quicker. */
  async #settleRecord(session: Session, subject: string): Promise<boolean> {
    const message = await this.#jetStream.message(session, this.#stream, { last_by_subj: subject });
    if (message === undefined) return false;
    const record = readRecord(message);
    // Somebody else's message in the place of one is removed with nothing in its place.
    if (record !== undefined) await this.#pushed.push(session, { subject, id: record.id }, record);
    return this.#remove(session, message);
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
