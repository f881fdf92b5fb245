import type { Log } from '../log.ts';
import type { Collection } from './garbage.ts';

/** Looked at so often where little room is left, and where there is much, in milliseconds. */
const MIN_LOOK_MS = 10;
const MAX_LOOK_MS = 1000;
/** What clients may make it grow by at most until the next look, in bytes a millisecond. */
const GROWTH = 1024 * 1024;
/** From this share of the limit on garbage is collected before it fills the rest. */
const TIGHT = 0.7;
/** Of what is left so much may come until the next look, and be new when what is young is collected: at least so many bytes. What comes is there several times until it has gone. */
const COMING = 1 / 16;
const STEP = 256 * 1024;
/** All is collected where so much of what is left is new: what has lived through a few looks is not young any more. */
const OLD = 1 / 2;
/** What those who hold something may have more of what is left, until the next look, each: what comes leaves garbage of several times its size. */
const PART = 1 / 8;
/** The last part of the limit is for garbage, which goes when it is collected, or later: nobody may hold more there. */
const SPARE = 1 / 16;
/** Collecting all takes no more than one part in so many of the time. */
const COLLECT_PART = 5;
/** Nor is it done more often than this, in milliseconds, before half of what is left beyond the limit is gone: what was let go of has gone by then. */
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
 * Keeps the process within `limits.memory`, by a look now and then, and one whenever much has come. Within it outboxes and what has begun may grow by a part of what is left, until the next look; past it nothing new is
 * taken and nothing grows, and where that is so once garbage is collected, the largest go. Garbage is no reason for any of that, and neither is what
 * allocators keep for later: where they give back little, though little is needed, the limit is higher by what they keep, since it is used again first. Half way from the limit to
 * the end nothing may grow for all that: what is kept is not of every size.
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
  /** When all was collected last, and how long that took. */
  #collectedAt = -Infinity;
  #collecting = 0;
  /** What was needed when what is young, and when all, had been collected last; or less, where V8 has done so since. */
  #young: number;
  #old: number;

  constructor(sources: MemorySources) {
    this.#sources = sources;
    this.#used = sources.used();
    this.#young = sources.needed();
    this.#old = this.#young;
    this.#base = Math.max(0, this.#used - this.#young);
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

  /** To be called for what clients send, which may be much between two looks by time. Answers how many bytes may come until the next call. */
  lookForBytes(): number {
    this.look();
    return this.#step;
  }

  /** Answers when to look again, in milliseconds. */
  look(): number {
    const { limit, used } = this.#sources;
    this.#used = used();
    const isExact = this.#collect();
    const room = limit + this.#kept - this.#used;
    this.#tell(room < 0);
    this.#share(room < 0 && isExact ? room : Math.max(0, Math.min(room - limit * SPARE, this.#toDanger)));
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

  /** Collects where little is left and much is new. Whether nothing is garbage now. */
  #collect(): boolean {
    const { limit, used, needed, collect } = this.#sources;
    if (this.#used <= limit * TIGHT) return false;
    const now = needed();
    this.#young = Math.min(this.#young, now);
    this.#old = Math.min(this.#old, now);
    if (now > this.#young + this.#step) {
      collect('minor');
      this.#young = needed();
      this.#used = used();
    }
    const isMuch = this.#young > this.#old + Math.max(STEP, (limit - this.#used) * OLD);
    return (this.#used > limit || isMuch) && this.#collectAll();
  }

  /** Bytes that are left until half way from the limit to the end. */
  get #toDanger(): number {
    const { limit, whole } = this.#sources;
    return (limit + whole) / 2 - this.#used;
  }

  /** Bytes that may come, or be new, until somebody looks. */
  get #step(): number {
    return Math.max(STEP, (this.#sources.limit - this.#used) * COMING);
  }

  /** False where it did so a moment ago. */
  #collectAll(): boolean {
    const { limit, whole, used, needed, collect, now } = this.#sources;
    const begun = now();
    if (begun - this.#collectedAt < Math.max(this.#toDanger < 0 ? 0 : MIN_COLLECT_MS, (COLLECT_PART - 1) * this.#collecting)) return false;
    collect('major');
    this.#collectedAt = now();
    this.#collecting = this.#collectedAt - begun;
    this.#used = used();
    this.#old = needed();
    this.#young = this.#old;
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
