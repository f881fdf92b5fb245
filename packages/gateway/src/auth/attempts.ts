import { networkOf } from '../net/addresses.ts';

const WINDOW_MS = 1000;

/** How many bad tokens each address has shown in this second, an IPv6 one with all of its /64: beyond a bound no more of its are looked at. Nothing is kept of the second before. */
export class Attempts {
  readonly #most: number;
  readonly #now: () => number;
  readonly #bad = new Map<string, number>();
  #since = -Infinity;

  /** `now`: milliseconds, never going back. */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  isOver(address: string): boolean {
    this.#turn();
    return (this.#bad.get(networkOf(address)) ?? 0) >= this.#most;
  }

  /** It has shown one. */
  failed(address: string): void {
    this.#turn();
    const network = networkOf(address);
    this.#bad.set(network, (this.#bad.get(network) ?? 0) + 1);
  }

  #turn(): void {
    const now = this.#now();
    if (now - this.#since < WINDOW_MS) return;
    this.#since = now;
    this.#bad.clear();
  }
}
