import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerLogger, LayerStats } from './contract.ts';
import type { LayerFault } from './faults.ts';

/** Of each kind one line of the log in this time; the next one says how many more there were. */
const LOG_MS = 10_000;
/** How long the status tells of a fault that the broker lived through. */
const RECENT_MS = 30_000;

/** Counts and logs what drivers and heartbeats tell, and keeps what the status says of it. */
export class FaultLog {
  readonly #stats: LayerStats;
  readonly #logger: LayerLogger;
  readonly #clock: Clock;
  readonly #lines = new Map<LayerFault, { at: number; more: number }>();
  /** Kinds that were counted since the broker left; undefined while it is there. */
  #sinceAway: Set<LayerFault> | undefined = new Set();
  #last: { readonly text: string; readonly at: number } | undefined;

  constructor(stats: LayerStats, logger: LayerLogger, clock: Clock = SYSTEM_CLOCK) {
    this.#stats = stats;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** What is wrong, or was within the last 30 s: `<kind>: <the broker's words>`. */
  get reason(): string | undefined {
    if (this.#last === undefined) return undefined;
    return this.#sinceAway !== undefined || this.#clock.now() - this.#last.at < RECENT_MS ? this.#last.text : undefined;
  }

  tell(kind: LayerFault, reason: string): void {
    this.#last = { text: `${kind}: ${reason}`, at: this.#clock.now() };
    if (this.#sinceAway?.has(kind) === true) return;
    this.#sinceAway?.add(kind);
    this.#stats.faults[kind] += 1;
    this.#log(kind, reason);
  }

  /** The broker left; what is told from now on says why. */
  away(reason: string): void {
    this.#sinceAway ??= new Set();
    this.#last = { text: reason, at: this.#clock.now() };
  }

  connected(): void {
    this.#sinceAway = undefined;
  }

  #log(kind: LayerFault, reason: string): void {
    const now = this.#clock.now();
    const line = this.#lines.get(kind);
    if (line !== undefined && now - line.at < LOG_MS) {
      line.more += 1;
      return;
    }
    this.#logger.error('a fault of the broker', { kind, reason, ...(line === undefined || line.more === 0 ? {} : { more: line.more }) });
    this.#lines.set(kind, { at: now, more: 0 });
  }
}
