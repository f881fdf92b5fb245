import type { LeaseState } from './lease-messages.ts';

/** The part of a lease's time in which it is looked at again, as the layer does; who lives has renewed it long before its last one. */
const LITTLE = 1 / 20;

/** What is known of a lease. */
interface Seen {
  state: LeaseState;
  /** When something new of it was heard, on this process's `performance.now()`. */
  heardAt: number;
  /** All that it held has been settled, or lies with nobody any more. */
  isSettled: boolean;
}

/**
 * Which leases have been silent for as long as they last. NATS has no clock that it would judge by, so this process counts by its own, from when it heard the last
 * renewal; the broker's word on whether there was none is the caller's to ask for. Knows no broker.
 */
export class LeaseWatch {
  readonly #now: () => number;
  readonly #seen = new Map<string, Seen>();
  readonly #doubted = new Set<string>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** What a lease is just now. That it has ended is for good, so it must be certain; that it lives need not be. False for what was known. */
  heard(lease: string, state: LeaseState): boolean {
    this.#doubted.delete(lease);
    const seen = this.#seen.get(lease);
    if (seen === undefined) this.#seen.set(lease, { state, heardAt: this.#now(), isSettled: false });
    else if (seen.state === 'ended' || isSame(seen.state, state)) return false;
    else Object.assign(seen, { state, heardAt: this.#now() });
    return true;
  }

  /** Somebody has said that it ended, which is to be asked for. */
  doubt(lease: string): void {
    if (!this.hasEnded(lease)) this.#doubted.add(lease);
  }

  knows(lease: string): boolean {
    return this.#seen.has(lease);
  }

  hasEnded(lease: string): boolean {
    return this.#seen.get(lease)?.state === 'ended';
  }

  get doubted(): readonly string[] {
    return [...this.#doubted];
  }

  isSilent(lease: string): boolean {
    const seen = this.#seen.get(lease);
    return seen !== undefined && seen.state !== 'ended' && this.#now() - seen.heardAt >= seen.state.ttlMs;
  }

  /** Ended, and not settled to the end as far as is known. */
  get unsettled(): readonly string[] {
    return [...this.#seen].filter(([, { state, isSettled }]) => state === 'ended' && !isSettled).map(([lease]) => lease);
  }

  get silent(): readonly string[] {
    return [...this.#seen.keys()].filter((lease) => this.isSilent(lease));
  }

  /** How long until the next of those will be silent that have little of their time left; undefined where there is none. */
  get nextSilentMs(): number | undefined {
    const now = this.#now();
    const left = [...this.#seen.values()].flatMap(({ state, heardAt }) => {
      if (state === 'ended') return [];
      const ms = heardAt + state.ttlMs - now;
      return ms > 0 && ms <= state.ttlMs * LITTLE ? [ms] : [];
    });
    return left.length === 0 ? undefined : Math.min(...left);
  }

  settled(lease: string): void {
    const seen = this.#seen.get(lease);
    if (seen !== undefined) seen.isSettled = true;
  }

  forget(lease: string): void {
    this.#seen.delete(lease);
    this.#doubted.delete(lease);
  }

  /** Nobody could be heard until now: the count begins anew for all. */
  begin(): void {
    for (const seen of this.#seen.values()) seen.heardAt = this.#now();
  }
}

function isSame(a: LeaseState, b: LeaseState): boolean {
  return a === b || (a !== 'ended' && b !== 'ended' && a.renewal === b.renewal);
}
