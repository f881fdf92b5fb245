import type { Buffer } from 'node:buffer';
import process from 'node:process';
import { withResolvers, type Resolvers } from '@busgate/layer/driver';

/** A script stops Redis for as long as it runs: so many messages, and bytes of them, are handled by one. */
const MAX_MESSAGES = 128;
const MAX_BYTES = 262_144;

/** A message, and what else a call says of it. */
export interface Item<O> {
  readonly payload: Buffer;
  readonly options: O;
}

/** Handles messages in one step; answers what became of each, by its place among them. */
export type JoinedStep<O, R> = (items: readonly Item<O>[]) => Promise<(index: number) => R>;

interface CallBatch {
  readonly key: string;
  readonly step: JoinedStep<unknown, unknown>;
  readonly items: Item<unknown>[];
  bytes: number;
  readonly outcome: Resolvers<(index: number) => unknown>;
}

/**
 * Joins calls with a message for one key that are made in the same turn of the event loop, with nothing else between them, into one step: what a script
 * costs is paid once for all of them.
 */
export class JoinedCalls {
  #open: CallBatch | undefined;

  /** All calls with one key have the same kind of `step`. */
  add<O, R>(key: string, item: Item<O>, step: JoinedStep<O, R>): Promise<R> {
    const { length } = item.payload;
    const batch = this.#batchFor(key, length, step as JoinedStep<unknown, unknown>);
    const index = batch.items.push(item) - 1;
    batch.bytes += length;
    return batch.outcome.promise.then((of) => of(index) as R);
  }

  /** Sends what is waiting: called before anything else is sent, so that all of it arrives in the order in which it was asked for. */
  flush(): void {
    const batch = this.#open;
    if (batch === undefined) return;
    this.#open = undefined;
    batch.step(batch.items).then(batch.outcome.resolve, batch.outcome.reject);
  }

  #batchFor(key: string, bytes: number, step: JoinedStep<unknown, unknown>): CallBatch {
    const open = this.#open;
    if (open?.key === key && open.items.length < MAX_MESSAGES && open.bytes + bytes <= MAX_BYTES) return open;
    this.flush();
    const batch: CallBatch = { key, step, items: [], bytes: 0, outcome: withResolvers() };
    this.#open = batch;
    process.nextTick(() => {
      if (this.#open === batch) this.flush();
    });
    return batch;
  }
}
