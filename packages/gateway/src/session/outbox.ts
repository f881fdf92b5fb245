import type { Counters, DropReason } from '../counters.ts';
import type { Link } from './link.ts';
import { SharedBytes } from './shared-bytes.ts';

/** Bytes that wait longer than this make their session too slow a reader. */
const MAX_AGE_MS = 10_000;

/** Why a session is not written to any more; what is dropped from then on is counted so. */
export type ShutReason = Extract<DropReason, 'closed' | 'slow' | 'total'>;

/** Told when a session reads too slowly. It must shut the outbox. */
export interface OutboxOwner {
  tooSlow(reason: 'slow' | 'total'): void;
}

/** What was written at once and waits for the kernel. */
interface Waiting {
  /** Where it ends in all that was ever written to the session. */
  readonly end: number;
  readonly messages: number;
  readonly since: number;
  readonly frames: Uint8Array | readonly Uint8Array[];
}

/**
 * All outboxes of a process: the bound that they share, and the counts. Only those in which something waits are known here, and looked at.
 * Exact whenever settled: due = sent + dropped + queued.
 */
export class Outboxes {
  readonly counters: Counters;
  readonly limit: number;
  readonly now: () => number;
  readonly #totalLimit: number;
  readonly #waiting = new Set<Outbox>();
  #bytes = 0;
  /** Of all but those that are being closed: they let go of theirs within 5 s. */
  readonly #held = new SharedBytes();

  /** `limit` and `totalLimit` in bytes; `now` a clock that never goes back and stands while the process does, in milliseconds. */
  constructor(counters: Counters, limit: number, totalLimit: number, now: () => number) {
    this.counters = counters;
    this.limit = limit;
    this.#totalLimit = totalLimit;
    this.now = now;
  }

  /** Bytes not yet handed to the kernel, as of each outbox's last look; those that several wait for count for each. */
  get bytes(): number {
    return this.#bytes;
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
    if (after > before && this.#held.total > this.#totalLimit) this.#relieve();
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

  /** Closes the slowest, that is the one for which the most waits, until the rest is within the bound. */
  #relieve(): void {
    this.settle();
    const open = [...this.#waiting].filter((outbox) => !outbox.isShut).toSorted((a, b) => b.bytes - a.bytes);
    for (const outbox of open) {
      if (this.#held.total <= this.#totalLimit) return;
      outbox.overflow('total');
    }
  }
}

/**
 * Everything that is written to a session passes here: bounded, and with the message count of each write that waits, so that what was
 * delivered is known to the message. Holds nothing while the kernel takes everything at once.
 */
export class Outbox {
  readonly #all: Outboxes;
  #link: Link | undefined;
  readonly #owner: OutboxOwner;
  #waiting: Waiting[] | undefined;
  /** Bytes ever written; counted only while something waits. */
  #written = 0;
  #bytes = 0;
  #shut: ShutReason | undefined;

  constructor(all: Outboxes, link: Link, owner: OutboxOwner) {
    this.#all = all;
    this.#link = link;
    this.#owner = owner;
  }

  get isShut(): boolean {
    return this.#shut !== undefined;
  }

  /** Bytes that wait, as of the last look. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Deliveries that wait, as of the last look. */
  get queued(): number {
    let messages = 0;
    for (const waiting of this.#waiting ?? []) messages += waiting.messages;
    return messages;
  }

  /** Writes frames that hold `messages` deliveries. Where the session reads too slowly they are dropped, and so is it. */
  write(frames: Uint8Array, messages: number): void {
    const link = this.#accept(messages);
    if (link === undefined) return;
    link.write(frames);
    this.#wrote(link, frames, frames.length, messages);
  }

  /** As one write, whatever the number of pieces. */
  writeAll(pieces: readonly Uint8Array[], messages: number): void {
    const link = this.#accept(messages);
    if (link === undefined) return;
    let length = 0;
    link.cork();
    for (const piece of pieces) {
      length += piece.length;
      link.write(piece);
    }
    link.uncork();
    this.#wrote(link, pieces, length, messages);
  }

  /** From now on nothing more is written, and what is due is dropped. What waits still goes out, for as long as the link lives. */
  shut(reason: ShutReason): void {
    if (this.#shut !== undefined) return;
    for (const { frames } of this.#waiting ?? []) this.#all.release(frames);
    this.#shut = reason;
  }

  /** Goes on over another link, or over none: then what is due is dropped. What the one before had not handed on is lost with it. */
  relink(link: Link | undefined): void {
    this.#abandon();
    this.#link = link;
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
    for (const { end, messages, frames } of waiting) {
      if (end > taken) break;
      this.#all.counters.sent += messages;
      if (this.#shut === undefined) this.#all.release(frames);
      done += 1;
    }
    if (done === waiting.length) this.#waiting = undefined;
    else if (done > 0) waiting.splice(0, done);
    this.#look(this.#waiting === undefined ? 0 : queued);
  }

  isOlderThan(time: number): boolean {
    const oldest = this.#waiting?.[0];
    return oldest !== undefined && oldest.since < time;
  }

  /** Ends the session for its slowness; where it is being ended already, at once. */
  overflow(reason: 'slow' | 'total'): void {
    if (this.isShut) this.#link?.destroy();
    else this.#owner.tooSlow(reason);
  }

  /** What to write to; undefined where it is dropped. */
  #accept(messages: number): Link | undefined {
    const { counters } = this.#all;
    const link = this.#link;
    counters.due += messages;
    if (this.#shut === undefined && link?.writable === true && (this.#waiting === undefined || this.#keepsUp())) return link;
    counters.dropped[this.#shut ?? 'closed'] += messages;
    return undefined;
  }

  #abandon(): void {
    this.settle();
    this.#all.counters.dropped[this.#shut ?? 'closed'] += this.queued;
    if (this.#shut === undefined) for (const { frames } of this.#waiting ?? []) this.#all.release(frames);
    this.#waiting = undefined;
    this.#look(0);
  }

  #keepsUp(): boolean {
    this.settle();
    if (this.#bytes <= this.#all.limit && !this.isOlderThan(this.#all.now() - MAX_AGE_MS)) return true;
    this.overflow('slow');
    return false;
  }

  #wrote({ queued }: Link, frames: Uint8Array | readonly Uint8Array[], bytes: number, messages: number): void {
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
    this.#waiting.push({ end: this.#written, messages, since: this.#all.now(), frames });
    this.#all.hold(frames);
    if (queued === 0) this.settle();
    else this.#look(queued);
  }

  #look(bytes: number): void {
    const before = this.#bytes;
    this.#bytes = bytes;
    if (before !== bytes) this.#all.track(this, before, bytes);
  }
}
