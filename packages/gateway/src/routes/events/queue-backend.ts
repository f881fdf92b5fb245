import type { ChannelLayer, Message } from '@busgate/layer';
import type { Backend, EventDelivery } from './backend.ts';
import type { Testaments } from './testaments.ts';

/** Events as messages of a worker queue. */
export class QueueBackend implements Backend {
  readonly isShared = true;
  readonly #layer: Pick<ChannelLayer, 'send'>;
  readonly #testaments: Testaments;
  readonly #queue: string;

  constructor(layer: Pick<ChannelLayer, 'send'>, testaments: Testaments, queue: string) {
    this.#layer = layer;
    this.#testaments = testaments;
    this.#queue = queue;
  }

  send(event: Message, { id, expiryMs, ownQueue }: EventDelivery): Promise<void> {
    return this.#layer.send(ownQueue ?? this.#queue, event, { id, expiryMs });
  }

  /** Nothing is held yet for the case that this process dies. */
  hold(): Promise<void> {
    return Promise.resolve();
  }

  async settle(session: string, disconnect: Message | undefined, ownQueue: string | undefined): Promise<boolean> {
    if (disconnect !== undefined) await this.#testaments.settle(session, disconnect, ownQueue ?? this.#queue);
    return true;
  }
}
