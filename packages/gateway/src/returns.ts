/** Clients that were refused and come back are let come back at this rate, about: a tenth of the connects that one core takes. */
const A_SECOND = 200;
/** `Retry-After` lies within so many seconds where hardly anybody is refused, and where very many are. */
const LEAST_SECONDS = 5;
const MOST_SECONDS = 60;

/** Those who were refused and told to come back, and have not yet. The more they are, the wider apart each next one is told to, so that they do not flood the gateway again. */
export class Returns {
  readonly #now: () => number;
  #waiting = 0;
  #at: number;

  /** `now`: milliseconds, never going back. */
  constructor(now: () => number) {
    this.#now = now;
    this.#at = now();
  }

  /** One more is told to come back; answers within how many seconds. */
  add(): number {
    const now = this.#now();
    const returned = ((now - this.#at) / 1000) * A_SECOND;
    this.#at = now;
    this.#waiting = Math.min(Math.max(0, this.#waiting - returned) + 1, MOST_SECONDS * A_SECOND);
    return Math.max(LEAST_SECONDS, Math.ceil(this.#waiting / A_SECOND));
  }
}
