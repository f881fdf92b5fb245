import type { ChannelLayer, Message } from '@busgate/layer';
import type { Outlet } from './outlet.ts';
import type { Reply } from './wire.ts';

/** What is under way to one session's gateway. */
interface Batch {
  readonly channel: string;
  readonly replies: Message[];
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
    let batch = this.#batches.get(channel);
    if (batch === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      batch = { channel, replies: [], sent: promise, resolve, reject };
      // Not every reply is waited for: who waits is told all the same.
      promise.catch(() => undefined);
      this.#batches.set(channel, batch);
      if (!this.#isScheduled) {
        this.#isScheduled = true;
        setImmediate(() => this.#flush());
      }
    }
    batch.replies.push(reply);
    return batch.sent;
  }

  #flush(): void {
    this.#isScheduled = false;
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    for (const { channel, replies, resolve, reject } of batches) {
      const [first] = replies;
      if (first === undefined) continue;
      const sending = this.#layer.send(channel, replies.length === 1 ? first : { replies }).then(resolve, reject);
      this.#underWay.add(sending);
      void sending.finally(() => this.#underWay.delete(sending));
    }
  }
}
