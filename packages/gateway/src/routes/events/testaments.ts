import type { ChannelLayer, Message } from '@busgate/layer';
import { disconnectId } from './event.ts';

/** A disconnect may wait unread for so long, in milliseconds. */
const LIFETIME_MS = 86_400_000;

/** The ends of sessions: queued once each, whatever happens to the call. */
export class Testaments {
  readonly #layer: Pick<ChannelLayer, 'send'>;

  constructor(layer: Pick<ChannelLayer, 'send'>) {
    this.#layer = layer;
  }

  /** Queues the end of a session. Rejects as the layer does; a second call does nothing where the first one did. */
  settle(session: string, message: Message, channel: string): Promise<void> {
    return this.#layer.send(channel, message, { id: disconnectId(session), exempt: true, expiryMs: LIFETIME_MS });
  }
}
