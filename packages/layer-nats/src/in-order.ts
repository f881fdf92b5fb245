import { Patience, type Stamp } from '@busgate/layer/driver';

/** How long a message waits for one that is before it in the stream: a busy server may take a while between the two. */
const PATIENCE_MS = 1000;
const MOST_WAITING = 1000;

interface Stamped {
  readonly payload: Uint8Array;
  readonly stamp: Stamp;
  readonly traceparent: string | undefined;
}

/**
 * Puts one room's live messages into their stream's order again. A server of NATS 2.9 republishes what several clients publish at once in another order
 * than it keeps it, by a few places. A message that does not come in time is passed over: the next one's stamp tells that it was missed.
 */
export class InOrder {
  readonly #give: (payload: Uint8Array, stamp: Stamp, traceparent: string | undefined) => void;
  #last: Stamp | undefined;
  #waiting: Stamped[] = [];
  #patience: Patience | undefined;

  constructor(give: (payload: Uint8Array, stamp: Stamp, traceparent: string | undefined) => void) {
    this.#give = give;
  }

  take(payload: Uint8Array, stamp: Stamp, traceparent?: string): void {
    if (this.#waiting.length === 0 && this.#isNext(stamp)) {
      this.#pass({ payload, stamp, traceparent });
      return;
    }
    if (this.#waiting[0] !== undefined && this.#waiting[0].stamp.epoch !== stamp.epoch) this.#passAll();
    this.#waiting.push({ payload, stamp, traceparent });
    this.#waiting.sort((a, b) => a.stamp.offset - b.stamp.offset);
    this.#passNext();
    if (this.#waiting.length > MOST_WAITING) this.#passAll();
    this.#startWaiting();
  }

  /** What waits is dropped, and what comes next follows nothing. */
  reset(): void {
    this.#waiting = [];
    this.#last = undefined;
    this.#stopWaiting();
  }

  #isNext({ epoch, previous }: Stamp): boolean {
    return this.#last === undefined || epoch !== this.#last.epoch || previous <= this.#last.offset;
  }

  #passNext(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#isNext(next.stamp); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#pass(next);
    }
    if (this.#waiting.length === 0) this.#stopWaiting();
  }

  #startWaiting(): void {
    if (this.#waiting.length === 0 || this.#patience !== undefined) return;
    const missedAfter = this.#last;
    this.#patience = new Patience(PATIENCE_MS, () => this.#giveUp(missedAfter));
  }

  #giveUp(missedAfter: Stamp | undefined): void {
    this.#stopWaiting();
    if (this.#last === missedAfter) this.#passAll();
    this.#startWaiting();
  }

  #passAll(): void {
    this.#stopWaiting();
    for (const message of this.#waiting.splice(0)) this.#pass(message);
  }

  #pass({ payload, stamp, traceparent }: Stamped): void {
    if (this.#last === undefined || this.#last.epoch !== stamp.epoch || stamp.offset > this.#last.offset) this.#last = stamp;
    this.#give(payload, stamp, traceparent);
  }

  #stopWaiting(): void {
    this.#patience?.end();
    this.#patience = undefined;
  }
}
