import { Bucket, type Rate } from './bucket.ts';

/** What one reader is given of a history at once, in bytes, unless one message has more. */
export const SHARE_BYTES = 256 * 1024;
/** Those who wait are looked at no more often, and no less often than this, in milliseconds. */
const MIN_LOOK_MS = 10;
const MAX_LOOK_MS = 1000;

/** How fast histories are read to clients, in bytes of messages. */
export interface ReplayLimits {
  /** To one reader. */
  readonly replay: Rate;
  /** To all readers of the process together. */
  readonly replayTotal: Rate;
}

export interface ReplayClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Calls `look` once, so many milliseconds later. */
  after(ms: number, look: () => void): void;
}

/** Who reads histories: a session, or the requests of one connection. */
export interface Replayed {
  readonly isOpen: boolean;
  /** What it was given; undefined until it was given something. Written here alone. */
  replayed: Bucket | undefined;
}

/** Leave to read so much of a history that {@link SHARE_BYTES} of it may be sent. */
export interface Share {
  /** So many bytes were read: less than they might have been is given back, more is owed. To be called once, whatever became of it. */
  settle(bytes: number): void;
}

interface WaitingReader {
  readonly reader: Replayed;
  /** When it gives up. */
  readonly until: number;
  readonly tell: (isGranted: boolean) => void;
}

/**
 * Histories are read at a pace, so that whoever asks for them again and again is no amplifier. Who is ahead of it waits for a turn before anything is read: so what waits
 * is an object each, and never a message. Readers who may have more themselves have their turns in the order in which they came to that. Nobody has a timer: there is one, while somebody waits.
 */
export class Replays {
  readonly #limits: ReplayLimits;
  readonly #clock: ReplayClock;
  readonly #share: number;
  readonly #total = new Bucket();
  /** Who has had as much as one reader may, for now. */
  readonly #resting = new Set<WaitingReader>();
  /** Who waits for what all have together. */
  readonly #queue = new Set<WaitingReader>();
  /** When those who wait are looked at next. */
  #lookAt = Infinity;
  #bytes = 0;

  constructor(limits: ReplayLimits, clock: ReplayClock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#share = Math.min(SHARE_BYTES, limits.replay.burst, limits.replayTotal.burst);
  }

  /** What was read, ever. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Readers that wait. */
  get waiting(): number {
    return this.#resting.size + this.#queue.size;
  }

  /** The reader's turn to read; undefined where it has left before that, or has waited for `patience` milliseconds. */
  async share(reader: Replayed, patience = Infinity): Promise<Share | undefined> {
    const now = this.#clock.now();
    const mayHave = this.#queue.size === 0 && this.#restOf(reader, now) === 0 && this.#totalWait(now) === 0;
    if (mayHave) this.#grant(reader, now);
    else if (!(await this.#turn(reader, now + patience))) return undefined;
    return { settle: (bytes) => this.#settle(reader, bytes) };
  }

  /** Who waits has waited in vain. */
  close(): void {
    for (const waiting of [this.#resting, this.#queue]) {
      for (const { tell } of waiting) tell(false);
      waiting.clear();
    }
  }

  #turn(reader: Replayed, until: number): Promise<boolean> {
    return new Promise((tell) => {
      const now = this.#clock.now();
      const rest = this.#restOf(reader, now);
      (rest > 0 ? this.#resting : this.#queue).add({ reader, until, tell });
      this.#lookIn(rest > 0 ? rest : this.#totalWait(now), now);
    });
  }

  #settle({ replayed }: Replayed, bytes: number): void {
    const { replay, replayTotal } = this.#limits;
    const now = this.#clock.now();
    this.#bytes += bytes;
    replayed?.spend(replay, now, bytes - this.#share);
    this.#total.spend(replayTotal, now, bytes - this.#share);
    this.#give(now);
  }

  #giveToRested(): void {
    const now = this.#clock.now();
    this.#lookAt = Infinity;
    for (const waiter of this.#resting) {
      if (this.#isOver(waiter, now) || this.#restOf(waiter.reader, now) > 0) continue;
      this.#resting.delete(waiter);
      this.#queue.add(waiter);
    }
    for (const waiter of this.#queue) this.#isOver(waiter, now);
    this.#give(now);
    let rest = MAX_LOOK_MS;
    for (const { reader } of this.#resting) rest = Math.min(rest, this.#restOf(reader, now));
    if (this.#resting.size > 0) this.#lookIn(rest, now);
  }

  /** Whether it waits no more. */
  #isOver(waiter: WaitingReader, now: number): boolean {
    if (waiter.reader.isOpen && waiter.until > now) return false;
    this.#resting.delete(waiter);
    this.#queue.delete(waiter);
    waiter.tell(false);
    return true;
  }

  /** As many turns as there are. */
  #give(now: number): void {
    for (const waiter of this.#queue) {
      if (this.#isOver(waiter, now)) continue;
      const wait = this.#totalWait(now);
      if (wait > 0) return this.#lookIn(wait, now);
      this.#queue.delete(waiter);
      this.#grant(waiter.reader, now);
      waiter.tell(true);
    }
  }

  #grant(reader: Replayed, now: number): void {
    const { replay, replayTotal } = this.#limits;
    reader.replayed ??= new Bucket();
    reader.replayed.spend(replay, now, this.#share);
    this.#total.spend(replayTotal, now, this.#share);
  }

  #restOf({ replayed }: Replayed, now: number): number {
    return replayed?.wait(this.#limits.replay, now, this.#share) ?? 0;
  }

  #totalWait(now: number): number {
    return this.#total.wait(this.#limits.replayTotal, now, this.#share);
  }

  /** One that was to be later is none any more. */
  #lookIn(ms: number, now: number): void {
    const wait = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, ms));
    const at = now + wait;
    if (at >= this.#lookAt) return;
    this.#lookAt = at;
    this.#clock.after(wait, () => {
      if (this.#lookAt === at) this.#giveToRested();
    });
  }
}
