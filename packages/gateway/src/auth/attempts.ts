import { networkOf } from '../net/addresses.ts';

const WINDOW_MS = 1000;

/** What is known of one address. */
interface Known {
  /** Bad tokens of this second. */
  bad: number;
  /** Tokens that are being checked. */
  underWay: number;
  /** What tells those whose turn has not come whether it has: the longest waiting first. */
  readonly waiting: ((hasTurn: boolean) => void)[];
}

/**
 * How many bad tokens each address, an IPv6 one with all of its /64, has checked in a second: no more than a bound, also where they come at the same moment. So no more are under way
 * than may still be bad; the others wait for these, and are checked where they were good. Nothing is kept of an address that shows nothing.
 */
export class Attempts {
  readonly #most: number;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  #since = -Infinity;

  /** `now`: milliseconds, never going back. */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  /** How many addresses are known. */
  get size(): number {
    return this.#known.size;
  }

  /** What `check` answers, which calls {@link failed} of a bad token; `rate`: this address has shown too many, and it was not called. */
  async look<T>(address: string, check: () => Promise<T>): Promise<T | 'rate'> {
    this.#turn();
    const network = networkOf(address);
    const known = this.#of(network);
    if (!(await this.#hasTurn(known))) return 'rate';
    try {
      return await check();
    } finally {
      known.underWay -= 1;
      this.#turn();
      this.#wake(known);
      if (isForgettable(known)) this.#known.delete(network);
    }
  }

  /** It has shown one. */
  failed(address: string): void {
    this.#turn();
    this.#of(networkOf(address)).bad += 1;
  }

  #of(network: string): Known {
    const found = this.#known.get(network);
    if (found !== undefined) return found;
    const known: Known = { bad: 0, underWay: 0, waiting: [] };
    this.#known.set(network, known);
    return known;
  }

  #hasTurn(known: Known): boolean | Promise<boolean> {
    if (known.bad >= this.#most) return false;
    if (known.bad + known.underWay >= this.#most) return new Promise((tell) => known.waiting.push(tell));
    known.underWay += 1;
    return true;
  }

  #wake(known: Known): void {
    const { waiting } = known;
    if (known.bad >= this.#most) for (const tell of waiting.splice(0)) tell(false);
    for (const tell of waiting.splice(0, this.#most - known.bad - known.underWay)) {
      known.underWay += 1;
      tell(true);
    }
  }

  #turn(): void {
    const now = this.#now();
    if (now - this.#since < WINDOW_MS) return;
    this.#since = now;
    for (const [network, known] of this.#known) {
      known.bad = 0;
      if (isForgettable(known)) this.#known.delete(network);
    }
  }
}

function isForgettable({ bad, underWay, waiting }: Known): boolean {
  return bad === 0 && underWay === 0 && waiting.length === 0;
}
