import type { ChannelLayer, Message } from '@busgate/layer';
import type { LayerCalls } from '../../metrics/layer-calls.ts';
import type { Backend, EventDelivery } from './backend.ts';
import type { Heir, Testaments } from './testaments.ts';

/** Events as messages of a worker queue. */
export class QueueBackend implements Backend {
  readonly queue: string;
  readonly #layer: Pick<ChannelLayer, 'send' | 'capabilities'>;
  readonly #bound: { readonly capacity?: number };
  readonly #calls: LayerCalls;
  readonly #testaments: Testaments;
  /** The session that has this id, while it has one. */
  readonly #heirOf: (session: string) => Heir | undefined;

  /** `capacity` of each queue that a session's events go to, where the layer has more than one bound for all. */
  constructor(
    layer: Pick<ChannelLayer, 'send' | 'capabilities'>,
    calls: LayerCalls,
    testaments: Testaments,
    { queue, capacity }: { readonly queue: string; readonly capacity: number },
    heirOf: (session: string) => Heir | undefined,
  ) {
    this.#layer = layer;
    this.#bound = layer.capabilities.queueCapacities === true ? { capacity } : {};
    this.#calls = calls;
    this.#testaments = testaments;
    this.queue = queue;
    this.#heirOf = heirOf;
  }

  send(event: Message, { id, expiryMs, ownQueue }: EventDelivery): Promise<void> {
    return this.#calls.watch('send', this.#layer.send(ownQueue ?? this.queue, event, { id, expiryMs, ...this.#bound }));
  }

  async hold(session: string, disconnect: Message): Promise<void> {
    const heir = this.#heirOf(session);
    if (heir !== undefined) await this.#testaments.hold(session, heir, this.queue, disconnect);
  }

  settle(session: string, disconnect: Message | undefined, ownQueue: string | undefined): Promise<boolean> {
    return this.#testaments.settle(session, disconnect, ownQueue);
  }

  /** Its workers are elsewhere. */
  idle(): Promise<void> {
    return Promise.resolve();
  }
}
