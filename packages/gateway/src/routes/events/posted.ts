import type { Inbound } from '../../inbound.ts';
import type { UplinkOutcome } from '../uplinks.ts';

/** A client waits so long for its worker to be given what it posts, in milliseconds: less than a gateway that has forwarded it waits for the answer. */
const PATIENCE_MS = 4000;
/** Messages of one session that may wait so. */
const MOST_WAITING = 16;
/** What one costs beside its bytes. */
const COST = 256;

interface WaitingPost {
  readonly body: Uint8Array;
  readonly timer: NodeJS.Timeout;
  readonly settle: (taken: UplinkOutcome) => void;
}

/** Messages that a client posts, in the order of the requests: as a socket is not read while its worker has enough, these are not answered. */
export class Posted {
  readonly #inbound: Inbound;
  readonly #give: (body: Uint8Array) => void;
  readonly #isWanted: () => boolean;
  #waiting: WaitingPost[] = [];

  /** `give` hands one on, where `isWanted`. */
  constructor(inbound: Inbound, give: (body: Uint8Array) => void, isWanted: () => boolean) {
    this.#inbound = inbound;
    this.#give = give;
    this.#isWanted = isWanted;
  }

  /** `full` where it could not be handed on in time. */
  take(body: Uint8Array): UplinkOutcome | Promise<UplinkOutcome> {
    if (this.#waiting.length === 0 && this.#isWanted()) {
      this.#give(body);
      return 'taken';
    }
    const cost = body.length + COST;
    if (this.#waiting.length >= MOST_WAITING || !this.#inbound.take(cost)) return 'full';
    const { promise, resolve } = Promise.withResolvers<UplinkOutcome>();
    const settle = (taken: UplinkOutcome): void => {
      clearTimeout(timer);
      this.#inbound.give(cost);
      resolve(taken);
    };
    const timer = setTimeout(() => this.#giveUp(body), PATIENCE_MS);
    this.#waiting.push({ body, timer, settle });
    return promise;
  }

  /** More is wanted. */
  go(): void {
    while (this.#isWanted()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#give(next.body);
      next.settle('taken');
    }
  }

  /** The session is over. */
  end(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { settle } of waiting) settle('no_session');
  }

  /** Those behind it are given up with it: they must not overtake it when it is posted again. */
  #giveUp(body: Uint8Array): void {
    const from = this.#waiting.findIndex((one) => one.body === body);
    for (const { settle } of this.#waiting.splice(Math.max(0, from))) settle('full');
  }
}
