import type { Counters, DropReason } from '../counters.ts';
import type { MemoryHolder } from '../memory/memory.ts';
import type { Link } from './link.ts';
import { SharedBytes } from './shared-bytes.ts';

/** Bytes that wait longer than this make their session too slow a reader. */
const MAX_AGE_MS = 10_000;
/** What may wait however short memory is, as a share of the bound of all together: who reads is not closed for what has just been written. */
const FLOOR = 1 / 256;

/** Why a session is not written to any more; what is dropped from then on is counted so. */
export type ShutReason = Extract<DropReason, 'closed' | SlowReason>;
/** Which bound a session that reads too slowly has met. */
export type SlowReason = Extract<DropReason, 'slow' | 'total' | 'memory'>;

/** Told when a session reads too slowly. It must shut the outbox. */
export interface OutboxOwner {
  tooSlow(reason: SlowReason): void;
}

/** Has something that its session is owed. */
export interface Debtor {
  /** There is room: some of it is to be written. */
  payMore(): void;
}

/** What of a link an outbox needs. */
export type OutboxLink = Pick<Link, 'writable' | 'isFull' | 'onceDrained' | 'queued' | 'write' | 'cork' | 'uncork' | 'isDestroyed' | 'destroy'>;

/** What was written at once and waits for the kernel. */
interface QueuedWrite {
  /** Where it ends in all that was ever written to the session. */
  readonly end: number;
  readonly messages: number;
  /** When it was written, or what a lossy room had before it was taken. */
  since: number;
  readonly frames: Uint8Array | readonly Uint8Array[];
  /** Bytes of it that no other room is to notice; 0 where it is not a lossy room's. */
  readonly lossy: number;
}

/**
 * All outboxes of a process: the bound that they share, and the counts. Only those in which something waits are known here, and looked at.
 * Exact whenever settled: due = sent + dropped + queued.
 */
export class Outboxes implements MemoryHolder {
  readonly counters: Counters;
  readonly limit: number;
  readonly now: () => number;
  readonly #totalLimit: number;
  /** As much of it as there is memory for. */
  #bound: number;
  readonly #waiting = new Set<Outbox>();
  #bytes = 0;
  /** Of all but those that are being closed: they let go of theirs within 5 s. */
  readonly #held = new SharedBytes();

  /** `limit` and `totalLimit` in bytes; `now` a clock that never goes back and stands while the process does, in milliseconds. */
  constructor(counters: Counters, limit: number, totalLimit: number, now: () => number) {
    this.counters = counters;
    this.limit = limit;
    this.#totalLimit = totalLimit;
    this.#bound = totalLimit;
    this.now = now;
  }

  /** Bytes not yet handed to the kernel, as of each outbox's last look; those that several wait for count for each. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The same but for those that are being closed, and what several wait for counts once. */
  get held(): number {
    return this.#held.total;
  }

  /** Where memory is short those that are being closed are not waited for, and others go only for what is short then. */
  allow(bytes: number): void {
    this.settle();
    const more = bytes < 0 ? Math.min(0, bytes + this.#cutOffShut()) : bytes;
    this.#bound = Math.min(this.#totalLimit, Math.max(this.#totalLimit * FLOOR, this.#held.total + more));
    if (more < 0) this.#relieve();
  }

  /** Deliveries due that are neither sent nor dropped. */
  get queued(): number {
    let messages = 0;
    for (const outbox of this.#waiting) messages += outbox.queued;
    return messages;
  }

  /** Brings the counts up to date with what the kernel has taken. */
  settle(): void {
    for (const outbox of this.#waiting) outbox.settle();
  }

  /** Ends the sessions whose oldest bytes have waited too long. Call it about once a second. */
  sweep(): void {
    const oldest = this.now() - MAX_AGE_MS;
    for (const outbox of this.#waiting) {
      outbox.settle();
      if (outbox.isOlderThan(oldest)) outbox.overflow('slow');
    }
  }

  /** For {@link Outbox} alone: what waits in it changed. */
  track(outbox: Outbox, before: number, after: number): void {
    this.#bytes += after - before;
    if (after > 0) this.#waiting.add(outbox);
    else this.#waiting.delete(outbox);
    if (after > before && this.#held.total > this.#bound) this.#relieve();
  }

  /** For {@link Outbox} alone: these wait, and count for all who wait for them together. */
  hold(frames: Uint8Array | readonly Uint8Array[]): void {
    if (frames instanceof Uint8Array) this.#held.hold(frames);
    else for (const piece of frames) this.#held.hold(piece);
  }

  /** For {@link Outbox} alone: they do no longer, or nobody may wait for them any more. */
  release(frames: Uint8Array | readonly Uint8Array[]): void {
    if (frames instanceof Uint8Array) this.#held.release(frames);
    else for (const piece of frames) this.#held.release(piece);
  }

  /** Answers what they held. */
  #cutOffShut(): number {
    const shut = [...this.#waiting].filter(({ isShut }) => isShut);
    const held = shut.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const outbox of shut) outbox.overflow('memory');
    return held;
  }

  /** Closes the slowest, that is the one for which the most waits, until the rest is within the bound. */
  #relieve(): void {
    this.settle();
    const reason = this.#bound < this.#totalLimit ? 'memory' : 'total';
    const open = [...this.#waiting].filter((outbox) => !outbox.isShut).toSorted((a, b) => b.bytes - a.bytes);
    for (const outbox of open) {
      if (this.#held.total <= this.#bound) return;
      outbox.overflow(reason);
    }
  }
}

/**
 * Everything that is written to a session passes here: bounded, and with the message count of each write that waits, so that what was
 * delivered is known to the message. Holds nothing while the kernel takes everything at once.
 */
export class Outbox {
  readonly #all: Outboxes;
  #link: OutboxLink | undefined;
  readonly #owner: OutboxOwner;
  #waiting: QueuedWrite[] | undefined;
  /** Bytes ever written; counted only while something waits. */
  #written = 0;
  #bytes = 0;
  /** Those among them that are lossy rooms'. */
  #lossy = 0;
  /** What lossy rooms hold back for it. */
  #owed = 0;
  #owedBytes = 0;
  /** Those who owe it, the one who has waited longest first. */
  #debtors: Set<Debtor> | undefined;
  #shut: ShutReason | undefined;

  constructor(all: Outboxes, link: OutboxLink, owner: OutboxOwner) {
    this.#all = all;
    this.#link = link;
    this.#owner = owner;
  }

  get isShut(): boolean {
    return this.#shut !== undefined;
  }

  /** Bytes that wait for its session, what lossy rooms hold back included, as of the last look. */
  get bytes(): number {
    return this.#bytes + this.#owedBytes;
  }

  /** Bytes that may wait. */
  get limit(): number {
    return this.#all.limit;
  }

  /** Whether so many bytes of lossy rooms may be written now, all at once, however little is read. */
  hasRoomFor(bytes: number): boolean {
    this.settle();
    return this.#lossy + bytes <= this.#all.limit;
  }

  /** So much waits for the kernel that a lossy room had better hold back what it has. */
  get isFull(): boolean {
    return this.#link?.isFull === true;
  }

  /** Deliveries that wait, as of the last look. */
  get queued(): number {
    let messages = this.#owed;
    for (const waiting of this.#waiting ?? []) messages += waiting.messages;
    return messages;
  }

  /** Writes frames that hold `messages` deliveries. Where the session reads too slowly they are dropped, and so is it: but for what is `lossy`, a lossy room's. */
  write(frames: Uint8Array, messages: number, lossy = false): void {
    this.#all.counters.due += messages;
    const link = this.#accept(messages);
    if (link === undefined) return;
    link.write(frames);
    this.#wrote(link, frames, frames.length, messages, lossy);
  }

  /** As one write, whatever the number of pieces. */
  writeAll(pieces: readonly Uint8Array[], messages: number, lossy = false): void {
    this.#all.counters.due += messages;
    this.#writeAll(pieces, messages, lossy);
  }

  /** `frames`, a delivery each, are due and held back by their room, which calls {@link pay} or {@link miss} for each of them. */
  owe(frame: Uint8Array): void {
    this.#all.counters.due += 1;
    this.#all.hold(frame);
    this.#count(1, frame.length);
  }

  /** Held back no more: not to be had any more either. */
  miss(frame: Uint8Array, reason: 'missed' | 'closed'): void {
    this.#all.release(frame);
    this.#count(-1, -frame.length);
    this.#all.counters.dropped[reason === 'missed' ? reason : (this.#shut ?? reason)] += 1;
  }

  /** Writes what was held back: the frames of `owed` deliveries, and what is told between them. */
  pay(pieces: readonly Uint8Array[], owed: readonly Uint8Array[]): void {
    for (const frame of owed) {
      this.#all.release(frame);
      this.#count(-1, -frame.length);
    }
    this.#writeAll(pieces, owed.length, true);
  }

  /** Asks `debtor` to pay once there is room, until there is none again. */
  await(debtor: Debtor): void {
    const isAwaiting = this.#debtors !== undefined;
    (this.#debtors ??= new Set()).add(debtor);
    if (!isAwaiting) this.#awaitRoom();
  }

  /** It owes nothing any more. */
  forget(debtor: Debtor): void {
    this.#debtors?.delete(debtor);
  }

  #writeAll(pieces: readonly Uint8Array[], messages: number, lossy: boolean): void {
    const link = this.#accept(messages);
    if (link === undefined) return;
    let length = 0;
    link.cork();
    for (const piece of pieces) {
      length += piece.length;
      link.write(piece);
    }
    link.uncork();
    this.#wrote(link, pieces, length, messages, lossy);
  }

  /** From now on nothing more is written, and what is due is dropped. What waits still goes out, for as long as the link lives. */
  shut(reason: ShutReason): void {
    if (this.#shut !== undefined) return;
    for (const { frames } of this.#waiting ?? []) this.#all.release(frames);
    this.#shut = reason;
  }

  /** Goes on over another link, or over none: then what is due is dropped. What the one before had not handed on is lost with it. */
  relink(link: OutboxLink | undefined): void {
    this.#abandon();
    this.#link = link;
    if (this.#debtors !== undefined) this.#tellRoom();
  }

  /** The link has written something of its own, its close frame, behind what waits. */
  passed(bytes: number): void {
    if (this.#waiting !== undefined) this.#written += bytes;
  }

  /** The session is over, and what waited is lost. */
  gone(): void {
    this.settle();
    this.shut('closed');
    this.#abandon();
  }

  /** Counts as sent what the kernel has taken since the last look. */
  settle(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#link === undefined || this.#link.isDestroyed) return;
    const { queued } = this.#link;
    const taken = this.#written - queued;
    let done = 0;
    let lossy = 0;
    for (const one of waiting) {
      if (one.end > taken) break;
      this.#all.counters.sent += one.messages;
      if (this.#shut === undefined) this.#all.release(one.frames);
      lossy += one.lossy;
      done += 1;
    }
    this.#lossy -= lossy;
    if (done === waiting.length) this.#waiting = undefined;
    else if (done > 0) waiting.splice(0, done);
    const [next] = waiting;
    // What a lossy room had before it is not held against it.
    if (lossy > 0 && next !== undefined) next.since = this.#all.now();
    this.#look(this.#waiting === undefined ? 0 : queued);
  }

  isOlderThan(time: number): boolean {
    const oldest = this.#waiting?.[0];
    return oldest !== undefined && oldest.lossy === 0 && oldest.since < time;
  }

  /** Ends the session for its slowness; where it is being ended already, at once. */
  overflow(reason: SlowReason): void {
    if (this.isShut) this.#link?.destroy();
    else this.#owner.tooSlow(reason);
  }

  /** What to write to; undefined where it is dropped. */
  #accept(messages: number): OutboxLink | undefined {
    const { counters } = this.#all;
    const link = this.#link;
    if (this.#shut === undefined && link?.writable === true && (this.#waiting === undefined || this.#keepsUp())) return link;
    counters.dropped[this.#shut ?? 'closed'] += messages;
    return undefined;
  }

  #abandon(): void {
    this.settle();
    for (const { messages } of this.#waiting ?? []) this.#all.counters.dropped[this.#shut ?? 'closed'] += messages;
    if (this.#shut === undefined) for (const { frames } of this.#waiting ?? []) this.#all.release(frames);
    this.#waiting = undefined;
    this.#lossy = 0;
    this.#look(0);
  }

  #count(messages: number, bytes: number): void {
    const before = this.bytes;
    this.#owed += messages;
    this.#owedBytes += bytes;
    this.#all.track(this, before, this.bytes);
  }

  #tellRoom(): void {
    for (const debtor of this.#debtors ?? []) {
      if (this.isFull) return this.#awaitRoom();
      this.#debtors?.delete(debtor);
      debtor.payMore();
    }
    this.#debtors = undefined;
  }

  #awaitRoom(): void {
    this.#link?.onceDrained(() => this.#tellRoom());
  }

  #keepsUp(): boolean {
    this.settle();
    if (this.#bytes - this.#lossy <= this.#all.limit && !this.isOlderThan(this.#all.now() - MAX_AGE_MS)) return true;
    this.overflow('slow');
    return false;
  }

  #wrote({ queued }: OutboxLink, frames: Uint8Array | readonly Uint8Array[], bytes: number, messages: number, lossy: boolean): void {
    const { counters } = this.#all;
    counters.sentBytes += bytes;
    if (this.#waiting === undefined) {
      if (queued === 0) {
        counters.sent += messages;
        return;
      }
      this.#waiting = [];
      this.#written = queued - bytes;
    }
    this.#written += bytes;
    if (lossy) this.#lossy += bytes;
    this.#waiting.push({ end: this.#written, messages, since: this.#all.now(), frames, lossy: lossy ? bytes : 0 });
    this.#all.hold(frames);
    if (queued === 0) this.settle();
    else this.#look(queued);
  }

  #look(bytes: number): void {
    const before = this.bytes;
    this.#bytes = bytes;
    if (before !== this.bytes) this.#all.track(this, before, this.bytes);
  }
}
