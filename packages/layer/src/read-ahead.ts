import type { ReadAheadLimits, Taken } from './driver/driver.ts';

/** A listener that comes back for the next message within this time, in milliseconds, is quick. */
const QUICK_MS = 2;
/** A message that was not read quickly outweighs some that were. */
const SLOW_COST = 16;
/** So many more than the proof asks for are counted in favour of a reader, who may become slow. */
const TRUST = 4 * SLOW_COST;

/**
 * Messages of one queue that were taken before they were asked for, so that listeners who read one after the other need not wait a round trip for
 * each. Only for those who have proved to be quick, and never more than they read in a few milliseconds: a slow reader keeps nothing from a free one.
 * What is held here no longer counts towards the queue's capacity, and dies with the process.
 */
export class ReadAhead {
  readonly #limits: ReadAheadLimits;
  readonly #held: Taken[] = [];
  #quick = 0;
  #handedAt = 0;

  constructor(limits: ReadAheadLimits) {
    this.#limits = limits;
  }

  /** How many more to take than were asked for. */
  get wanted(): number {
    return this.#quick < this.#limits.proof ? 0 : this.#limits.most;
  }

  get empty(): boolean {
    return this.#held.length === 0;
  }

  /** Somebody asks for a message. */
  asked(now: number): void {
    this.#quick = now - this.#handedAt <= QUICK_MS ? Math.min(this.#quick + 1, this.#limits.proof + TRUST) : Math.max(this.#quick - SLOW_COST, 0);
  }

  /** Somebody was given a message. */
  handed(now: number): void {
    this.#handedAt = now;
  }

  /** Keeps what nobody has asked for yet; nothing came where the queue is read faster than it fills, and looking further is no use. */
  hold(items: readonly Taken[]): void {
    if (items.length === 0) this.#quick = Math.min(this.#quick, this.#limits.proof / 2);
    this.#held.push(...items);
  }

  /** The oldest that has not expired; `onExpired` is called for each that has. */
  next(now: number, onExpired: () => void): Taken | undefined {
    for (;;) {
      const item = this.#held.shift();
      if (item?.endsAt === undefined || item.endsAt > now) return item;
      onExpired();
    }
  }

  /** Everything, oldest first: nobody came for it. */
  release(): Taken[] {
    this.#quick = 0;
    return this.#held.splice(0);
  }
}
