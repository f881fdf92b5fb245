import type { LayerLogger } from '@busgate/layer/driver';
import { replyCode } from './errors.ts';
import type { Held, Refusal, Subscriber } from './subscriber.ts';

/** What was refused is tried again after one proof of the connection, then after twice as many each time, up to so many. */
const MOST_PROOFS = 32;
/** Names in one line of the log. */
const NAMES = 20;

export interface SubscriptionEvents {
  /** The server does not permit a subscription, in its own words. */
  refused(reason: string): void;
  /** A subscription belongs to another server. */
  moved(): void;
}

/** The topics that are held at one server, whatever its connection just now. */
export class Subscriptions {
  readonly #topics = new Map<string, Held>();
  /** Those that the server does not permit, or sends elsewhere: told that they miss something, and tried again. */
  readonly #refused = new Set<Held>();
  readonly #logger: LayerLogger;
  readonly #events: SubscriptionEvents;
  #proofs = 0;
  #wanted = 1;

  constructor(logger: LayerLogger, events: SubscriptionEvents) {
    this.#logger = logger;
    this.#events = events;
  }

  set(name: string, held: Held): void {
    this.#topics.set(name, held);
  }

  /** Answers with what it was. */
  delete(name: string): Held | undefined {
    const held = this.#topics.get(name);
    this.#topics.delete(name);
    if (held !== undefined) this.#refused.delete(held);
    return held;
  }

  clear(): void {
    this.#topics.clear();
    this.#refused.clear();
  }

  /** Brings every topic back on a new connection. */
  async restore(subscriber: Subscriber): Promise<void> {
    await this.resubscribe(subscriber, [...this.#topics.values()]);
  }

  /** Brings topics back, each with a gap before its first message. What is refused is logged, told a gap, and left for {@link retry}. */
  async resubscribe(subscriber: Subscriber, topics: readonly Held[]): Promise<void> {
    const refusals = await subscriber.resubscribe(topics);
    const held = new Set(this.#topics.values());
    const standing = refusals.filter((refusal) => held.has(refusal.held));
    const refused = new Set(standing.map((refusal) => refusal.held));
    for (const topic of topics) if (!refused.has(topic)) this.#refused.delete(topic);
    const [moved, forbidden] = [standing.filter(isMoved), standing.filter((refusal) => !isMoved(refusal) && !this.#refused.has(refusal.held))];
    for (const topic of refused) this.#refused.add(topic);
    if (forbidden.length > 0) this.#tell(forbidden);
    if (moved.length > 0) this.#events.moved();
  }

  /** To be called after each proof of the connection: now and then what was refused is tried again. */
  async retry(subscriber: Subscriber): Promise<void> {
    this.#proofs += 1;
    if (this.#refused.size === 0) this.#wanted = 1;
    if (this.#refused.size === 0 || this.#proofs < this.#wanted) return;
    this.#proofs = 0;
    this.#wanted = Math.min(this.#wanted * 2, MOST_PROOFS);
    await this.resubscribe(subscriber, [...this.#refused]);
  }

  /** They hear nothing from now on; the gap of their return comes before anything that they hear again. */
  #tell(refusals: readonly Refusal[]): void {
    const names = refusals.flatMap(({ held }) => [...held.channels.keys()]);
    const reason = refusals[0]?.error.message ?? '';
    const more = names.length > NAMES ? { more: names.length - NAMES } : {};
    this.#logger.error('subscriptions are refused: nothing is heard on these channels until they are permitted', {
      channels: names.slice(0, NAMES),
      ...more,
      reason,
    });
    this.#events.refused(reason);
    for (const { held } of refusals) held.sink.gap();
  }
}

function isMoved({ error }: Refusal): boolean {
  return replyCode(error) === 'MOVED';
}
