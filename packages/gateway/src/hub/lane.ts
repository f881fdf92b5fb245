import type { Counters } from '../counters.ts';
import { frameOf, type Framing } from '../session/link.ts';
import type { RoomMessage } from '@busgate/layer';
import type { Encoder, Encoding } from './encoding.ts';
import type { Flushed, FlushTurn } from './flush.ts';
import { type DelayedMessage, keyOf, type Loss } from './loss.ts';
import { grown, memoryFor } from './run-memory.ts';

/** Frames written to a socket at once, in bytes. One that is larger goes alone. */
const MAX_BATCH = 256 * 1024;
const MIN_BATCH = 256;

/** A run of frames, or, without frames, a gap. */
interface Run {
  /** Where it begins and ends in all that the lane ever carried, in bytes; and the messages up to its end. */
  readonly start: number;
  end: number;
  endCount: number;
  /** Written from the front and never changed after: parts of it may be on their way while more is added behind. */
  frames: Buffer | undefined;
  /** Somebody may still have parts of its memory. */
  isHandedOut: boolean;
  /** Of a gap: where the room goes on, if that is known. */
  readonly position?: string | undefined;
  /** Of a lossy room: where each message ends. */
  readonly marks?: RunMark[];
}

/** A message within a run. */
interface RunMark {
  readonly end: number;
  /** What its key is read from, where somebody has to wait for it. */
  readonly payload: Uint8Array | undefined;
  held: DelayedMessage | undefined;
}

/** What is to be written to one session at once. */
export interface WriteBatch {
  readonly pieces: Uint8Array[];
  messages: number;
}

/** Who a lane carries messages to, and how far it has: the three numbers are the lane's own. */
export interface Passenger {
  /** Its place in the lane; -1 once it has left. */
  index: number;
  /** How far of the lane's stream it has been written: bytes, and messages. */
  at: number;
  count: number;
  readonly outbox: { write(frames: Uint8Array, messages: number, lossy: boolean): void };
  /** Of a lossy room: whether what comes has to wait. */
  readonly isLate: boolean;
  holdBack(message: DelayedMessage): void;
  holdBackGap(frame: Uint8Array): void;
  /** All rooms of its session, where they may be several. */
  readonly others: { readonly size: number; flushBatch(lanes?: readonly Flushed[]): number } | undefined;
  /** Writes the next batch of this lane, or, in `others`, of all its rooms, and answers how many had one; `lanes`: of no others than these. */
  flushBatch(): void;
}

/** What the lanes of a hub share. */
export interface LaneContext {
  readonly counters: Counters;
  /** Bytes of a room that may wait to be sent. */
  readonly backlog: number;
}

/**
 * The members of a room that share one encoding. A message is framed once and appended to the lane's stream; each member knows how far it has
 * been written to it, which is all there is to order: a member that joins stands at the end, one that is to be sent something else is
 * first brought to the end.
 */
export class Lane implements Flushed {
  readonly room: string;
  readonly encoding: Encoding;
  readonly framing: Framing;
  readonly members: Passenger[] = [];
  isDue = false;
  /** Deliveries that never were on the stream, since too much waited; and those that members were owed of a lossy room and lost. */
  readonly drops = { backlog: 0, missed: 0 };
  readonly loss: Loss | undefined;
  readonly #counters: Counters;
  readonly #encoder: Encoder;
  readonly #maxUnsent: number;
  /** Whether each flush ends with where the session stands, for sessions of many rooms. */
  readonly #marks: boolean;
  #runs: Run[] = [];
  #end = 0;
  #endCount = 0;
  /** How far the visit under way brings each member; undefined between visits. */
  #upTo: number | undefined;
  #upToCount = 0;
  /** How far the last visit that was finished brought everybody. */
  #flushed = 0;
  #next = 0;
  #dropping = false;
  /** The piece that most members are due, made once. */
  #piece: Uint8Array | undefined;
  #pieceStart = -1;
  #pieceEnd = -1;
  /** Bytes that the next run is given at first. */
  #expected = MIN_BATCH;

  /** `maxUnsent`: bytes that may wait; past it the newest are dropped. `loss`: what its readers lose who cannot keep up. */
  constructor(room: string, encoding: Encoding, framing: Framing, { backlog: maxUnsent, counters }: LaneContext, loss?: Loss) {
    this.room = room;
    this.loss = loss;
    this.encoding = encoding;
    this.framing = framing;
    this.#encoder = encoding.encoder(room, framing.mark !== undefined);
    this.#maxUnsent = maxUnsent;
    this.#marks = framing.mark !== undefined;
    this.#counters = counters;
  }

  get end(): number {
    return this.#end;
  }

  get endCount(): number {
    return this.#endCount;
  }

  /** Something was dropped, and nobody has been told. */
  get isDropping(): boolean {
    return this.#dropping;
  }

  get hasUnsent(): boolean {
    return this.#runs.length > 0;
  }

  /** Whether everybody was given what the lane carried up to there. */
  isFlushed(end: number): boolean {
    return !this.hasUnsent || this.#flushed >= end;
  }

  add(member: Passenger): void {
    member.index = this.members.push(member) - 1;
    this.skip(member);
  }

  /** The last one takes its place: a visit goes backwards, so that nobody is passed over. */
  remove(member: Passenger): void {
    const last = this.members.pop();
    if (last !== undefined && last !== member) {
      this.members[member.index] = last;
      last.index = member.index;
    }
    member.index = -1;
    if (this.members.length === 0) this.#forget();
  }

  /** The member has had all there is some other way. */
  skip(member: Passenger): void {
    member.at = this.#end;
    member.count = this.#endCount;
  }

  /** Frames the message. Where too much waits already it is dropped, and a gap is told in its place. */
  append(message: RoomMessage): void {
    if (this.#unsent >= this.#maxUnsent) {
      this.#dropping = true;
      this.drops.backlog += this.members.length;
      this.#counters.due += this.members.length;
      this.#counters.dropped.backlog += this.members.length;
      return;
    }
    if (this.#dropping) this.appendGap();
    const sheet = this.#encoder.message(message);
    const size = this.framing.measure(sheet);
    const run = this.#room(size);
    this.framing.put(run.frames as Buffer, run.end - run.start, sheet);
    this.#end += size;
    this.#endCount += 1;
    run.end = this.#end;
    run.endCount = this.#endCount;
    run.marks?.push({ end: this.#end, payload: this.loss?.key === undefined ? undefined : message.payload, held: undefined });
  }

  /** `position`: where the room goes on, if that is known. */
  appendGap(position?: string): void {
    this.#dropping = false;
    if (this.#encoder.gap(this.members.length, position) === 'silent') return;
    // It stands for one byte, so that each member is before it or after it.
    this.#runs.push({ start: this.#end, end: this.#end + 1, endCount: this.#endCount, frames: undefined, isHandedOut: false, position });
    this.#end += 1;
  }

  /**
   * Brings every member a batch further. Answers whether all have been visited; where the time was up before, the next call goes on.
   * Members may come and go in between, and during it.
   */
  visit(turn: FlushTurn): boolean {
    this.#upTo ??= this.#begin();
    for (let index = Math.min(this.#next, this.members.length - 1); index >= 0; index -= 1) {
      const member = this.members[index];
      if (member !== undefined && member.at < this.#upTo) this.#visitMember(member, turn);
      if (turn.isOver() && index > 0) {
        this.#next = index - 1;
        return false;
      }
    }
    this.#finish();
    return true;
  }

  /** Adds what the member is due, to the end or to the end of the first batch, and notes that it has it. Answers false at a gap that ends the session. */
  take(member: Passenger, batch: WriteBatch, toEnd: boolean): boolean {
    const upTo = toEnd ? this.#end : (this.#upTo ?? this.#firstEnd);
    const upToCount = toEnd ? this.#endCount : this.#upTo === undefined ? this.#firstEndCount : this.#upToCount;
    if (member.at >= upTo) return true;
    return this.loss !== undefined && member.isLate ? this.#holdBack(member, upTo, upToCount) : this.#takeRuns(member, batch, upTo, upToCount);
  }

  #takeRuns(member: Passenger, batch: WriteBatch, upTo: number, upToCount: number): boolean {
    for (const run of this.#runs) {
      if (run.end <= member.at) continue;
      if (run.start >= upTo) break;
      if (run.frames === undefined) {
        if (!this.#takeGap(member, run, batch)) return false;
        continue;
      }
      const count = Math.min(run.endCount, upToCount);
      batch.pieces.push(this.#slice(run, member.at, Math.min(run.end, upTo)));
      batch.messages += count - member.count;
      member.at = Math.min(run.end, upTo);
      member.count = count;
    }
    return true;
  }

  #visitMember(member: Passenger, turn: FlushTurn): void {
    if (member.others !== undefined && this.#gather(member.others, turn)) return;
    const run = this.#runs[0];
    const isLossy = this.loss !== undefined;
    if (isLossy && member.isLate) member.flushBatch();
    else if (run?.frames !== undefined && member.at >= run.start && this.#upTo !== undefined && this.#upTo <= run.end) {
      const piece = this.#slice(run, member.at, this.#upTo);
      const messages = this.#upToCount - member.count;
      member.at = this.#upTo;
      member.count = this.#upToCount;
      member.outbox.write(piece, messages, isLossy);
    } else {
      member.flushBatch();
    }
  }

  /** Writes what other rooms have for the session too, where that is wanted. */
  #gather(others: NonNullable<Passenger['others']>, turn: FlushTurn): boolean {
    if (this.#marks) {
      others.flushBatch();
      return true;
    }
    const lanes = turn.gathers(others.size);
    if (lanes === undefined) return false;
    turn.saved(others.flushBatch(lanes) - 1);
    return true;
  }

  /** Puts what the member is due to what it is owed. */
  #holdBack(member: Passenger, upTo: number, upToCount: number): boolean {
    for (const run of this.#runs) {
      if (run.end <= member.at) continue;
      if (run.start >= upTo) break;
      if (run.frames === undefined) {
        member.at = run.end;
        const answer = this.#encoder.gap(this.members.length, run.position);
        if (answer === 'close') return false;
        if (answer !== 'silent') member.holdBackGap(frameOf(this.framing, answer));
      } else this.#holdBackRun(member, run, upTo);
    }
    member.at = upTo;
    member.count = upToCount;
    return true;
  }

  #holdBackRun(member: Passenger, { start, frames, marks = [] }: Run, upTo: number): void {
    let from = start;
    for (const mark of marks) {
      if (mark.end > upTo) return;
      if (mark.end > member.at) {
        mark.held ??= { frame: copyOf((frames as Buffer).subarray(from - start, mark.end - start)), key: this.#keyOf(mark) };
        member.holdBack(mark.held);
      }
      from = mark.end;
    }
  }

  #keyOf({ payload }: RunMark): string {
    return keyOf(payload, this.loss?.key);
  }

  /** What tells a member that so many messages were dropped; undefined where its wire has no words for it. */
  missed(count: number): Uint8Array | undefined {
    const sheet = this.#encoder.missed(count);
    return sheet === 'silent' ? undefined : frameOf(this.framing, sheet);
  }

  #takeGap(member: Passenger, run: Run, batch: WriteBatch): boolean {
    member.at = run.end;
    const answer = this.#encoder.gap(this.members.length, run.position);
    if (answer === 'close') return false;
    if (answer !== 'silent') batch.pieces.push(frameOf(this.framing, answer));
    return true;
  }

  #slice(run: Run, from: number, to: number): Uint8Array {
    if (this.#piece === undefined || this.#pieceStart !== from || this.#pieceEnd !== to) {
      run.isHandedOut = true;
      this.#piece = (run.frames as Buffer).subarray(from - run.start, to - run.start);
      this.#pieceStart = from;
      this.#pieceEnd = to;
    }
    return this.#piece;
  }

  #begin(): number {
    this.#next = this.members.length - 1;
    this.#upToCount = this.#firstEndCount;
    return this.#firstEnd;
  }

  #finish(): void {
    const upTo = this.#upTo ?? 0;
    this.#flushed = Math.max(this.#flushed, upTo);
    this.#upTo = undefined;
    this.#piece = undefined;
    while ((this.#runs[0]?.end ?? Infinity) <= upTo) {
      const run = this.#runs.shift();
      if (run !== undefined) this.#expect(run.end - run.start);
    }
    if (this.#runs.length === 0 && this.#dropping) this.appendGap();
  }

  /** Runs are seldom alike: memory that is too small costs another one of twice the size, and the copy. */
  #expect(size: number): void {
    const falling = this.#expected - (this.#expected >> 3);
    this.#expected = Math.min(Math.max(size, falling, MIN_BATCH), MAX_BATCH);
  }

  #forget(): void {
    this.#runs = [];
    this.#piece = undefined;
    this.#dropping = false;
  }

  get #unsent(): number {
    return this.#end - (this.#runs[0]?.start ?? this.#end);
  }

  get #firstEnd(): number {
    return this.#runs[0]?.end ?? this.#end;
  }

  get #firstEndCount(): number {
    return this.#runs[0]?.endCount ?? this.#endCount;
  }

  /** The run that takes `size` bytes more: the last one, grown where it must be, or a new one. */
  #room(size: number): Run {
    const last = this.#runs.at(-1);
    if (last?.frames !== undefined) {
      const used = last.end - last.start;
      if (used + size <= last.frames.length) return last;
      if (used + size <= MAX_BATCH) {
        last.frames = grown(last.frames, last.isHandedOut, used, Math.min(MAX_BATCH, Math.max(used + size, used * 2)));
        last.isHandedOut = false;
        return last;
      }
    }
    const frames = memoryFor(Math.max(size, this.#expected));
    const run: Run = { start: this.#end, end: this.#end, endCount: this.#endCount, frames, isHandedOut: false, ...(this.loss !== undefined && { marks: [] }) };
    this.#runs.push(run);
    return run;
  }
}

/** In memory of its own, so that whoever keeps it keeps nothing beside it. */
function copyOf(frame: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(frame.length);
  copy.set(frame);
  return copy;
}
