import type { Buffer } from 'node:buffer';
import process from 'node:process';

/** A script stops Redis for as long as it runs: so many messages, and bytes of them, are pushed by one. */
const MAX_MESSAGES = 128;
const MAX_BYTES = 262_144;

interface Batch {
  readonly key: string;
  readonly messages: Buffer[];
  bytes: number;
  /** How many were accepted, the first ones: when a queue is full it is full for all that follow in the same step. */
  readonly accepted: PromiseWithResolvers<number>;
}

/**
 * Joins messages that are sent to one queue in the same turn of the event loop, with nothing else between them, into one step: what a script costs is
 * paid once for all of them.
 */
export class Pushes {
  readonly #push: (key: string, messages: readonly Buffer[]) => Promise<number>;
  #open: Batch | undefined;

  /** `push` appends messages to a queue and says how many of them, from the first on, were accepted. */
  constructor(push: (key: string, messages: readonly Buffer[]) => Promise<number>) {
    this.#push = push;
  }

  /** False where the queue is full. */
  add(key: string, message: Buffer): Promise<boolean> {
    const batch = this.#batchFor(key, message.length);
    const index = batch.messages.push(message) - 1;
    batch.bytes += message.length;
    return batch.accepted.promise.then((accepted) => index < accepted);
  }

  /** Sends what is waiting: called before anything else is sent, so that all of it arrives in the order in which it was asked for. */
  flush(): void {
    const batch = this.#open;
    if (batch === undefined) return;
    this.#open = undefined;
    this.#push(batch.key, batch.messages).then(batch.accepted.resolve, batch.accepted.reject);
  }

  #batchFor(key: string, bytes: number): Batch {
    const open = this.#open;
    if (open?.key === key && open.messages.length < MAX_MESSAGES && open.bytes + bytes <= MAX_BYTES) return open;
    this.flush();
    const batch: Batch = { key, messages: [], bytes: 0, accepted: Promise.withResolvers() };
    this.#open = batch;
    process.nextTick(() => {
      if (this.#open === batch) this.flush();
    });
    return batch;
  }
}
