import type { ChannelLayer, Message } from '@busgate/layer';
import type { Outlet } from './outlet.ts';
import type { Reply } from './wire.ts';

/** Bytes of payloads in one message, unless one reply has more: well below what a layer takes. */
const MOST_BYTES = 256 * 1024;

/** What is under way to one session's gateway. */
interface Batch {
  readonly channel: string;
  readonly replies: Message[];
  bytes: number;
  readonly sent: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Replies of one turn of the event loop to one session leave as one message, those to all sessions in one write: a handler that answers and has the next event
 * costs one message and not two.
 */
export class Replies {
  readonly #layer: Pick<ChannelLayer, 'send'>;
  readonly #batches = new Map<string, Batch>();
  readonly #underWay = new Set<Promise<void>>();
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

  /** Resolves when everything that was replied has been taken, or was not. */
  async flushed(): Promise<void> {
    this.#flush();
    await Promise.allSettled(this.#underWay);
  }

  #add(channel: string, reply: Message): Promise<void> {
    const bytes = bytesOf(reply);
    const batch = this.#batchFor(channel, bytes);
    batch.replies.push(reply);
    batch.bytes += bytes;
    return batch.sent;
  }

  /** The one that is being filled, if there is room in it; else that one leaves before the next. */
  #batchFor(channel: string, bytes: number): Batch {
    const filling = this.#batches.get(channel);
    if (filling !== undefined && filling.bytes + bytes <= MOST_BYTES) return filling;
    if (filling !== undefined) this.#send(filling);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const batch = { channel, replies: [], bytes: 0, sent: promise, resolve, reject };
    // Not every reply is waited for: who waits is told all the same.
    promise.catch(() => undefined);
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

  #send({ channel, replies, resolve, reject }: Batch): void {
    const [first] = replies;
    if (first === undefined) return;
    const sending = this.#layer.send(channel, replies.length === 1 ? first : { replies }).then(resolve, reject);
    this.#underWay.add(sending);
    void sending.finally(() => this.#underWay.delete(sending));
  }
}

/** Of a reply's payload, as it is before it is written as JSON. */
function bytesOf({ text, bytes, body }: Message): number {
  for (const payload of [text, bytes, body]) if (typeof payload === 'string' || payload instanceof Uint8Array) return payload.length;
  return 0;
}
