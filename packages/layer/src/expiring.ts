/** Something that waits until a moment. */
export interface Expiring {
  readonly expiresAt: number;
}

/** What waits in a queue, in order, each until its own moment. Where what came later also expires later only the first of it is looked at. */
export class ExpiringQueue<T extends Expiring> {
  #waiting: T[] = [];
  #latest = -Infinity;
  /** Some of it may expire before what stands before it, but none before this. */
  #soonest: number | undefined;

  get length(): number {
    return this.#waiting.length;
  }

  /** Nothing expires before it. */
  get soonest(): number | undefined {
    return this.#waiting.length === 0 ? undefined : (this.#soonest ?? this.#waiting[0]?.expiresAt);
  }

  push(item: T): void {
    if (this.#waiting.length === 0) this.clear();
    if (item.expiresAt < this.#latest) this.#soonest = Math.min(this.soonest ?? Infinity, item.expiresAt);
    else this.#latest = item.expiresAt;
    this.#waiting.push(item);
  }

  /** Puts it back in front. */
  unshift(item: T): void {
    const next = this.soonest;
    if (next !== undefined && item.expiresAt > next) this.#soonest = next;
    else if (this.#soonest !== undefined) this.#soonest = item.expiresAt;
    this.#latest = Math.max(this.#latest, item.expiresAt);
    this.#waiting.unshift(item);
  }

  shift(): T | undefined {
    return this.#waiting.shift();
  }

  /** The first of it, up to so many. */
  take(most: number): T[] {
    return this.#waiting.splice(0, most);
  }

  clear(): void {
    this.#waiting = [];
    this.#latest = -Infinity;
    this.#soonest = undefined;
  }

  /** Drops what has expired, and says how many there were. */
  dropExpired(now: number): number {
    if ((this.soonest ?? Infinity) > now) return 0;
    const before = this.#waiting.length;
    if (this.#soonest === undefined) {
      let expired = 0;
      while ((this.#waiting[expired]?.expiresAt ?? Infinity) <= now) expired += 1;
      this.#waiting.splice(0, expired);
    } else {
      this.#waiting = this.#waiting.filter(({ expiresAt }) => expiresAt > now);
      this.#soonest = this.#waiting.reduce((soonest, { expiresAt }) => Math.min(soonest, expiresAt), Infinity);
    }
    return before - this.#waiting.length;
  }
}
