import type { TopicSink } from './driver.ts';

/** Messages of one topic that are kept at most. */
const MOST_KEPT = 1000;

/** A topic whose subscription was lost and is made anew: it is told one gap, before any message that comes through the new one. To be made anew with each attempt. */
export class Resubscription {
  readonly #sink: Pick<TopicSink, 'gap'>;
  #kept: (() => void)[] = [];
  #isTold = false;

  constructor(sink: Pick<TopicSink, 'gap'>) {
    this.#sink = sink;
  }

  /** Keeps a message until the gap was told; `give` hands it on. Of many the newest are kept: what is missing then comes before all of them, and that is what the gap says. */
  keep(give: () => void): void {
    if (this.#kept.length === MOST_KEPT) this.#kept.shift();
    this.#kept.push(give);
  }

  /** Tells the gap, unless it was told, and hands on what was kept. */
  tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const kept = this.#kept;
    this.#kept = [];
    this.#sink.gap();
    for (const give of kept) give();
  }
}
