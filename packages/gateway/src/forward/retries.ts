/** The first wait, and twice as long each time up to the last, in milliseconds. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;

/** How an event stands that could not be delivered. */
export interface Failing {
  /** Attempts that were made, from 1. */
  readonly attempts: number;
  /** What is left of the event's time, in milliseconds. */
  readonly leftMs: number;
  /** What the backend asked for, in milliseconds. */
  readonly retryAfterMs: number | undefined;
}

/** How long to wait before the next attempt, in milliseconds; undefined: there is no time for one. `random` is from 0 to 1. */
export function nextWait({ attempts, leftMs, retryAfterMs = 0 }: Failing, random: number): number | undefined {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempts - 1));
  const wait = Math.max(longest * (0.5 + random / 2), retryAfterMs + FIRST_WAIT_MS * random);
  return wait < leftMs ? wait : undefined;
}

/** Statuses that say that it may go well later. */
export function isPassing(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/** `Retry-After` (RFC 9110 section 10.2.3) in milliseconds from now; undefined where it is not there or says nothing. */
export function readRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
