import { networkOf } from '../net/addresses.ts';
import { Bucket, type Rate } from './bucket.ts';

/** Addresses that are known at least before those are looked for of which nothing need be known any more. */
const MIN_SWEEP = 1024;

/** What is known of one address, an IPv6 one with all of its /64. */
interface Known {
  readonly bucket: Bucket;
  sessions: number;
}

/** What the settings `limits.address.*` say; undefined: no limit. */
export interface AddressLimits {
  readonly sessions: number | undefined;
  readonly handshakes: Rate | undefined;
}

/** How many sessions each address has, and how fast it asks for them. Nothing is kept of one that has none and has not asked for a while. */
export class AddressBook {
  readonly #limits: AddressLimits;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  #sweepAt = MIN_SWEEP;

  /** `now`: milliseconds, never going back. */
  constructor(limits: AddressLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get isEnforced(): boolean {
    return this.#limits.sessions !== undefined || this.#limits.handshakes !== undefined;
  }

  /** How many addresses are known. */
  get size(): number {
    return this.#known.size;
  }

  /** Whether this address may ask to be let in now, or asks too fast. Each question counts. */
  mayAsk(address: string): boolean {
    const { handshakes } = this.#limits;
    return handshakes === undefined || this.#of(networkOf(address)).bucket.take(handshakes, this.#now());
  }

  /** Whether this address may have one session more. */
  hasRoom(address: string): boolean {
    const { sessions } = this.#limits;
    return sessions === undefined || (this.#known.get(networkOf(address))?.sessions ?? 0) < sessions;
  }

  /** One session more, until the function that this answers is called; undefined where the address has too many. */
  hold(address: string): (() => void) | undefined {
    const key = networkOf(address);
    const known = this.#of(key);
    if (known.sessions >= (this.#limits.sessions ?? Infinity)) return undefined;
    known.sessions += 1;
    return () => {
      known.sessions -= 1;
      if (this.#isForgettable(known)) this.#known.delete(key);
    };
  }

  #of(key: string): Known {
    const found = this.#known.get(key);
    if (found !== undefined) return found;
    if (this.#known.size >= this.#sweepAt) this.#sweep();
    const known = { bucket: new Bucket(), sessions: 0 };
    this.#known.set(key, known);
    return known;
  }

  #sweep(): void {
    for (const [key, known] of this.#known) if (this.#isForgettable(known)) this.#known.delete(key);
    this.#sweepAt = Math.max(MIN_SWEEP, this.#known.size * 2);
  }

  #isForgettable({ bucket, sessions }: Known): boolean {
    return sessions === 0 && bucket.isFull(this.#now());
  }
}
