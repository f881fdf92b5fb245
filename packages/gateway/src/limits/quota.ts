import { Bucket, type Rate } from './bucket.ts';
import { PerMinute } from './per-minute.ts';

/** How often a session may ask for something, and what holds where it asks more often. */
export interface AskLimits {
  /** Undefined, as the next: as often as it likes. */
  readonly joins: Rate | undefined;
  readonly publishes: Rate | undefined;
  /** Refusals of one session in a minute; the last of them ends it. */
  readonly errors: number;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

/** What one session has asked for, and how often that was too much. */
export class Quota {
  readonly #limits: AskLimits;
  readonly #joins = new Bucket();
  readonly #publishes = new Bucket();
  readonly #refusals = new PerMinute();

  constructor(limits: AskLimits) {
    this.#limits = limits;
  }

  /** One for a session under these limits; undefined where nothing is counted. */
  static under(limits: AskLimits): Quota | undefined {
    return limits.joins === undefined && limits.publishes === undefined ? undefined : new Quota(limits);
  }

  /** Whether it may join once more. */
  mayJoin(): boolean {
    const { joins, now } = this.#limits;
    return joins === undefined || this.#joins.take(joins, now());
  }

  mayPublish(): boolean {
    const { publishes, now } = this.#limits;
    return publishes === undefined || this.#publishes.take(publishes, now());
  }

  /** It was refused something; true where that was the one time too many. */
  refuse(): boolean {
    const { errors, now } = this.#limits;
    return this.#refusals.add(now(), errors);
  }
}
