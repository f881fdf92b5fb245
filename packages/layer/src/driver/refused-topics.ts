import type { LayerLogger } from '../contract.ts';
import type { DriverEvents, TopicSink } from './driver.ts';

/** They are tried again after one look, then after twice as many each time, up to so many. */
const MOST_LOOKS = 32;
/** Names in one line of the log. */
const NAMES = 20;

/** A topic whose subscription the broker refused. */
export interface RefusedTopic<T> {
  readonly topic: T;
  /** What the broker calls it. */
  readonly names: readonly string[];
  readonly reason: string;
}

/** Topics that are held, and of which the broker refuses the subscription now: on a new connection, or since their rights were taken away. */
export class RefusedTopics<T extends { readonly sink: Pick<TopicSink, 'gap'> }> {
  readonly #logger: LayerLogger;
  readonly #fault: DriverEvents['fault'];
  readonly #topics = new Set<T>();
  #looks = 0;
  #wanted = 1;

  constructor(logger: LayerLogger, fault: DriverEvents['fault']) {
    this.#logger = logger;
    this.#fault = fault;
  }

  get all(): readonly T[] {
    return [...this.#topics];
  }

  /** Each that is new is told a gap, since it hears nothing from now on; the one of its return comes before anything that it hears again. They are logged in one line, and are one fault. */
  add(refused: readonly RefusedTopic<T>[]): void {
    const news = refused.filter(({ topic }) => !this.#topics.has(topic));
    const [first] = news;
    if (first === undefined) return;
    for (const { topic } of news) this.#topics.add(topic);
    const names = news.flatMap((refusal) => refusal.names);
    const more = names.length > NAMES ? { more: names.length - NAMES } : {};
    this.#logger.error('subscriptions are not permitted any more: nothing is heard there until they are', {
      topics: names.slice(0, NAMES),
      ...more,
      reason: first.reason,
    });
    this.#fault('refused', first.reason);
    for (const { topic } of news) topic.sink.gap();
  }

  /** To be tried again like the others, and told nothing: it is only in the wrong place. */
  addUntold(topic: T): void {
    this.#topics.add(topic);
  }

  /** It is permitted again, or let go of. */
  delete(topic: T): void {
    this.#topics.delete(topic);
    if (this.#topics.size === 0) this.#wanted = 1;
  }

  clear(): void {
    for (const topic of this.#topics) this.delete(topic);
  }

  /** To be called at each look at the broker: whether they are to be tried again now. */
  look(): boolean {
    if (this.#topics.size === 0) return false;
    this.#looks += 1;
    if (this.#looks < this.#wanted) return false;
    this.#looks = 0;
    this.#wanted = Math.min(this.#wanted * 2, MOST_LOOKS);
    return true;
  }
}
