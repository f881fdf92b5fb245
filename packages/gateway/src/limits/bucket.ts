/** How much of something, a second, and how much at once after a while of nothing. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket in one number: when it will be full again. Nothing fills it but time. */
export class Bucket {
  /** In milliseconds of the caller's clock. */
  #fullAt = -Infinity;

  /** Takes `amount` where there is so much, at `now`; false, and takes nothing, where there is not. */
  take({ perSecond, burst }: Rate, now: number, amount = 1): boolean {
    const fullAt = Math.max(this.#fullAt, now) + (amount * 1000) / perSecond;
    if (fullAt - now > (burst * 1000) / perSecond) return false;
    this.#fullAt = fullAt;
    return true;
  }

  /** Takes `amount` also where there is less: what is missing has to come before there is anything again. What is less than 0 is given back. */
  spend({ perSecond }: Rate, now: number, amount: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + (amount * 1000) / perSecond;
  }

  /** Milliseconds until there is so much; 0 where there is. */
  wait({ perSecond, burst }: Rate, now: number, amount = 1): number {
    return Math.max(0, this.#fullAt - now - ((burst - amount) * 1000) / perSecond);
  }

  /** Whether it is as one that was never taken from. */
  isFull(now: number): boolean {
    return this.#fullAt <= now;
  }
}
