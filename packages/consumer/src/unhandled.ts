/** What is handled is told to be under way three times before its time is over, but not more often than that, and at least that often, in milliseconds. */
const THIRDS = 3;
const LEAST_MS = 300;
const MOST_MS = 10_000;

/** How long an event may be in hand before its gateway is told that it still is, in milliseconds. `lifetime`: how long it may take; undefined where nobody says. */
export function patienceOf(lifetime: number | undefined): number {
  return lifetime === undefined ? MOST_MS : Math.min(MOST_MS, Math.max(LEAST_MS, lifetime / THIRDS));
}

/** Events of one session that have come and have not been handled. Knows no clock: times are milliseconds of the caller's. */
export class Unhandled {
  /** When each is to be told to be under way, and how long that is good for. */
  readonly #events = new Map<number, { readonly patience: number; dueAt: number }>();

  add(order: number, now: number, patience: number): void {
    this.#events.set(order, { patience, dueAt: now + patience });
  }

  done(order: number): void {
    this.#events.delete(order);
  }

  hasAfter(order: number): boolean {
    for (const one of this.#events.keys()) if (one > order) return true;
    return false;
  }

  /** All of them, where the time of one has come; then none until it comes again. */
  due(now: number): readonly number[] {
    const events = [...this.#events.values()];
    if (!events.some(({ dueAt }) => dueAt <= now)) return [];
    for (const event of events) event.dueAt = now + event.patience;
    return [...this.#events.keys()];
  }
}
