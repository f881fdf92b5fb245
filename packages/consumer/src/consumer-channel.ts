import { isLayerError, type Message } from '@busgate/layer';
import type { ConsumerLayer } from './context.ts';

/** The channel of one consumer, and the groups it is in. It costs nothing until it is used. */
export class Groups {
  readonly #layer: ConsumerLayer;
  readonly #onMessage: (message: Message) => Promise<void>;
  readonly #stop = new AbortController();
  #channel: string | undefined;

  /** `onMessage` is called for one message at a time. */
  constructor(layer: ConsumerLayer, onMessage: (message: Message) => Promise<void>) {
    this.#layer = layer;
    this.#onMessage = onMessage;
  }

  get channel(): string {
    if (this.#channel === undefined) {
      this.#channel = this.#layer.newChannel('consumer');
      void this.#read(this.#channel);
    }
    return this.#channel;
  }

  /** Resolves when it is in effect. */
  add(group: string): Promise<void> {
    return this.#layer.groupAdd(group, this.channel);
  }

  discard(group: string): Promise<void> {
    return this.#layer.groupDiscard(group, this.channel);
  }

  /** To every consumer of the group, whichever process it is in. */
  async send(group: string, message: Message): Promise<void> {
    await this.#layer.groupSend(group, message);
  }

  /** Leaves all groups. */
  async close(): Promise<void> {
    this.#stop.abort();
    const channel = this.#channel;
    if (channel === undefined) return;
    await this.#layer.closeChannel(channel).catch(() => undefined);
  }

  async #read(channel: string): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#onMessage(await this.#layer.receive(channel, { signal }));
      } catch (error) {
        if (signal.aborted || isLayerError(error, 'CHANNEL_GONE') || isLayerError(error, 'LAYER_CLOSED')) return;
        throw error;
      }
    }
  }
}
