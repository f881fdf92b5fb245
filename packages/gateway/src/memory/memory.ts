import type { Log } from '../log.ts';
import type { Collection } from './garbage.ts';

/** Looked at so often where little room is left, and where there is much, in milliseconds. */
const MIN_LOOK_MS = 10;
const MAX_LOOK_MS = 1000;
/** What clients may make it grow by at most until the next look, in bytes a millisecond. */
const GROWTH = 1024 * 1024;
/** From this share of the limit on what is young is collected each time that so many bytes have come, so that garbage does not fill the rest. */
const TIGHT = 0.7;
const STEP = 1024 * 1024;
/** What those who hold something may have more of what is left, until the next look, each: what comes leaves garbage of several times its size. */
const PART = 1 / 8;
/** Collecting all takes no more than one part in so many of the time. */
const COLLECT_PART = 5;
/** Nor is it done more often than this, in milliseconds: what was let go of has gone by then. */
const MIN_COLLECT_MS = 200;

/** Who holds what clients sent or are to be sent. */
export interface MemoryHolder {
  /** What it holds just now, in bytes. */
  readonly held: number;
  /** From now on it may hold so many bytes more than it does; less than 0: it lets go of so many. */
  allow(bytes: number): void;
}

export interface MemorySources {
  /** `limits.memory`, in bytes. */
  readonly limit: number;
  /** Past what the process is killed, in bytes. */
  readonly whole: number;
  /** What counts towards both, in bytes. */
  readonly used: () => number;
  /** What objects and buffers take of it. */
  readonly needed: () => number;
  readonly collect: (type: Collection) => void;
  /** Those who have to let go of something, the first one first. */
  readonly holders: readonly MemoryHolder[];
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** From now on it is at its limit, or no more. */
  readonly onFull: (isFull: boolean) => void;
  readonly log: Pick<Log, 'warn' | 'info'>;
}

/**
 * Keeps the process within `limits.memory`, by one look now and then. Within it outboxes and what has begun may grow by a part of what is left, until the next look; past it nothing new is
 * taken and nothing grows, and where that is so once garbage is collected, the largest go. Garbage is no reason for any of that, and neither is what
 * allocators keep for later: where they give back little, though little is needed, the limit is higher by what they keep, since it is used again first.
 */
export class Memory {
  readonly #sources: MemorySources;
  #timer: NodeJS.Timeout | undefined;
  /** What the process takes beside objects and buffers. */
  readonly #base: number;
  #used: number;
  /** What allocators keep past the limit. */
  #kept = 0;
  #isFull = false;
  #collectAt = -Infinity;

  constructor(sources: MemorySources) {
    this.#sources = sources;
    this.#used = sources.used();
    this.#base = Math.max(0, this.#used - sources.needed());
  }

  /** What counted at the last look, in bytes. */
  get used(): number {
    return this.#used;
  }

  /** Nothing new is taken: neither sessions nor publishes. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Looks from now on, until {@link close}. */
  start(): void {
    this.#timer = setTimeout(() => this.start(), this.look()).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Answers when to look again, in milliseconds. */
  look(): number {
    const { limit, used, collect } = this.#sources;
    const before = this.#used;
    this.#used = used();
    if (this.#used > Math.max(limit * TIGHT, before + STEP)) collect('minor');
    const isExact = this.#used > limit && this.#collectAll();
    const room = limit + this.#kept - this.#used;
    this.#tell(room < 0);
    this.#share(room < 0 && !isExact ? 0 : room);
    return Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, room / GROWTH));
  }

  /** What is short is taken from those who hold something, in their order. */
  #share(room: number): void {
    let left = room;
    for (const holder of this.#sources.holders) {
      const { held } = holder;
      holder.allow(left > 0 ? left * PART : left);
      if (left < 0) left = Math.min(0, left + held);
    }
  }

  /** False where it did so a moment ago. */
  #collectAll(): boolean {
    const { limit, whole, used, needed, collect, now } = this.#sources;
    const begun = now();
    if (begun < this.#collectAt) return false;
    collect('major');
    const ended = now();
    this.#collectAt = ended + Math.max(MIN_COLLECT_MS, (COLLECT_PART - 1) * (ended - begun));
    this.#used = used();
    const isNeeded = this.#base + needed() > limit * TIGHT;
    this.#kept = isNeeded ? 0 : Math.max(0, this.#used - limit) + (whole - limit) * PART;
    return true;
  }

  #tell(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    const { limit, log, onFull } = this.#sources;
    onFull(isFull);
    if (isFull) log.warn('memory is at its limit: new sessions and publishes are refused', { used: this.#used, limit });
    else log.info('memory is within its limit again', { used: this.#used, limit });
  }
}
