import { setTimeout as sleep } from 'node:timers/promises';
import { isLayerError, type ChannelLayer, type Message } from '@busgate/layer';
import type { Outlet } from './outlet.ts';
import type { Reply } from './wire.ts';

/** Bytes of replies in one message, unless one reply has more: well below what a layer takes. */
const MOST_BYTES = 256 * 1024;

/** What a reply is counted as besides its payload. */
const REPLY_BYTES = 256;

/** Bytes of replies that wait for a broker that is away; what is more fails. */
const MOST_HELD_BYTES = 64 * 1024 * 1024;
/** A broker that is away is tried again so often, in milliseconds. */
const AGAIN_MS = 100;
/** A worker that stops waits so long for a broker that is away, in milliseconds: then gateways have given its sessions to others. */
const PATIENCE_MS = 10_000;

/** What is under way to one session's gateway. */
interface ReplyBatch {
  readonly channel: string;
  readonly replies: Message[];
  bytes: number;
  readonly sent: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Replies of one turn of the event loop to one session leave as one message, those to all sessions in one write: a handler that answers and has the next event
 * costs one message and not two. While the broker is away they wait, in their order, up to 64 MiB of them: what is more fails with LAYER_AWAY.
 */
export class Replies {
  readonly #layer: Pick<ChannelLayer, 'send'>;
  readonly #batches = new Map<string, ReplyBatch>();
  /** Of every batch that was neither taken nor refused. */
  readonly #unsettled = new Set<Promise<void>>();
  /** What waits for the broker, by channel, in the order of its replies. */
  readonly #held = new Map<string, ReplyBatch[]>();
  #heldBytes = 0;
  /** What was said when the broker was last found away. */
  #away: unknown;
  /** Whether what waits is being tried again, or will be. */
  #isTrying = false;
  #isScheduled = false;

  constructor(layer: Pick<ChannelLayer, 'send'>) {
    this.#layer = layer;
  }

  /** The way to a session. `lease` says under which number of it this worker speaks; `extra` is added to the accept. */
  outlet(channel: string, lease: number, extra?: { readonly queue: string; readonly window: number }): Outlet {
    return {
      reply: (reply: Reply) => this.#add(channel, { ...reply, ...(reply.type === 'websocket.accept' ? extra : undefined), lease } as Message),
    };
  }

  /** Resolves when everything that was replied has been taken, or was not, or has waited for a broker that is away for as long as there is a use in it. */
  async flushed(): Promise<void> {
    this.#flush();
    const over = new AbortController();
    await Promise.race([Promise.allSettled(this.#unsettled), sleep(PATIENCE_MS, undefined, over).catch(() => undefined)]);
    over.abort();
  }

  #add(channel: string, reply: Message): Promise<void> {
    const bytes = bytesOf(reply);
    const batch = this.#batchFor(channel, bytes);
    batch.replies.push(reply);
    batch.bytes += bytes;
    return batch.sent;
  }

  /** The one that is being filled, if there is room in it; else that one leaves before the next. */
  #batchFor(channel: string, bytes: number): ReplyBatch {
    const filling = this.#batches.get(channel);
    if (filling !== undefined && filling.bytes + bytes <= MOST_BYTES) return filling;
    if (filling !== undefined) this.#send(filling);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const batch = { channel, replies: [], bytes: 0, sent: promise, resolve, reject };
    this.#unsettled.add(promise);
    const settled = (): unknown => this.#unsettled.delete(promise);
    // Not every reply is waited for: who waits is told of a failure all the same.
    promise.then(settled, settled);
    this.#batches.set(channel, batch);
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.#flush());
    }
    return batch;
  }

  #flush(): void {
    this.#isScheduled = false;
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    for (const batch of batches) this.#send(batch);
  }

  #send(batch: ReplyBatch): void {
    if (this.#held.has(batch.channel)) this.#hold(batch);
    else this.#publish(batch).then(batch.resolve, (error: unknown) => this.#failed(batch, error));
  }

  async #publish({ channel, replies }: ReplyBatch): Promise<void> {
    const [first] = replies;
    if (first !== undefined) await this.#layer.send(channel, replies.length === 1 ? first : { replies });
  }

  #failed(batch: ReplyBatch, error: unknown): void {
    if (this.#mayPass(error)) this.#hold(batch);
    else this.#reject(batch, error);
  }

  /** Nobody can tell what was lost. But that an event was handled is said again, which does no harm: else its gateway gives it to the next worker, too. */
  #reject({ channel, replies, reject }: ReplyBatch, error: unknown): void {
    reject(error);
    if (!isLayerError(error, 'OUTCOME_UNKNOWN') && !isLayerError(error, 'TIMEOUT')) return;
    for (const { type, order: handled, done = type === 'done' ? handled : undefined, lease } of replies) {
      if (done !== undefined) this.#add(channel, { type: 'done', order: done, ...(lease === undefined ? {} : { lease }) }).catch(() => undefined);
    }
  }

  /** Whether nothing was done and the same may succeed later. Of what may have been done nobody can tell, so that it is not done again. */
  #mayPass(error: unknown): boolean {
    if (!isLayerError(error, 'LAYER_AWAY')) return false;
    this.#away = error;
    return true;
  }

  #hold(batch: ReplyBatch): void {
    if (this.#heldBytes + batch.bytes > MOST_HELD_BYTES) {
      batch.reject(this.#away);
      return;
    }
    const queue = this.#held.get(batch.channel);
    if (queue === undefined) this.#held.set(batch.channel, [batch]);
    else queue.push(batch);
    this.#heldBytes += batch.bytes;
    if (this.#isTrying) return;
    this.#isTrying = true;
    this.#tryLater();
  }

  #tryLater(): void {
    setTimeout(() => void this.#tryAgain(), AGAIN_MS);
  }

  /** Writes what waits, of each session in its order; none waits for another's. */
  async #tryAgain(): Promise<void> {
    await Promise.all([...this.#held].map(([channel, queue]) => this.#empty(channel, queue)));
    this.#isTrying = this.#held.size > 0;
    if (this.#isTrying) this.#tryLater();
  }

  async #empty(channel: string, queue: ReplyBatch[]): Promise<void> {
    let settled = 0;
    for (let batch = queue[0]; batch !== undefined; batch = queue[settled]) {
      try {
        await this.#publish(batch);
        batch.resolve();
      } catch (error) {
        if (this.#mayPass(error)) break;
        this.#reject(batch, error);
      }
      settled += 1;
      this.#heldBytes -= batch.bytes;
    }
    queue.splice(0, settled);
    if (queue.length === 0) this.#held.delete(channel);
  }
}

/** A reply's payload as it is before it is written as JSON, and what goes with it. */
function bytesOf({ text, bytes, body }: Message): number {
  for (const payload of [text, bytes, body]) if (typeof payload === 'string' || payload instanceof Uint8Array) return payload.length + REPLY_BYTES;
  return REPLY_BYTES;
}
