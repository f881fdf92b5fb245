import { RefusedTopics, type LayerLogger } from '@busgate/layer/driver';
import { replyCode } from './errors.ts';
import type { Held, Refusal, Subscriber } from './subscriber.ts';

export interface SubscriptionEvents {
  /** The server does not permit a subscription, in its own words. */
  refused(reason: string): void;
  /** A subscription belongs to another server. */
  moved(): void;
}

/** The topics that are held at one server, whatever its connection just now. */
export class Subscriptions {
  readonly #topics = new Map<string, Held>();
  /** Also those that the server sends elsewhere. */
  readonly #refused: RefusedTopics<Held>;
  readonly #events: SubscriptionEvents;

  constructor(logger: LayerLogger, events: SubscriptionEvents) {
    this.#refused = new RefusedTopics(logger, (_, reason) => events.refused(reason));
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

  /** Brings topics back, each with a gap before its first message. What is refused is told, and left for {@link retry}. */
  async resubscribe(subscriber: Subscriber, topics: readonly Held[]): Promise<void> {
    const refusals = await subscriber.resubscribe(topics);
    const held = new Set(this.#topics.values());
    const standing = refusals.filter((refusal) => held.has(refusal.held));
    const refused = new Set(standing.map((refusal) => refusal.held));
    for (const topic of topics) if (!refused.has(topic)) this.#refused.delete(topic);
    const [moved, forbidden] = [standing.filter(isMoved), standing.filter((refusal) => !isMoved(refusal))];
    for (const refusal of moved) this.#refused.addUntold(refusal.held);
    this.#refused.add(forbidden.map((refusal) => ({ topic: refusal.held, names: [...refusal.held.channels.keys()], reason: refusal.error.message })));
    if (moved.length > 0) this.#events.moved();
  }

  /** To be called after each proof of the connection: now and then what was refused is tried again. */
  async retry(subscriber: Subscriber): Promise<void> {
    if (this.#refused.look()) await this.resubscribe(subscriber, this.#refused.all);
  }
}

function isMoved({ error }: Refusal): boolean {
  return replyCode(error) === 'MOVED';
}
