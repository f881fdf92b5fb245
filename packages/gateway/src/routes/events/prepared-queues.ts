import { isLayerError, type ChannelLayer, type LayerStats } from '@busgate/layer';
import type { Log } from '../../log.ts';

/** What readers need is looked for so often, in milliseconds: a broker may let go of it when nobody reads for some minutes. */
const EVERY_MS = 60_000;

/** The layer, as far as it goes here. */
interface QueueMaker extends Pick<ChannelLayer, 'prepareQueue'> {
  readonly stats: Pick<LayerStats, 'connects'>;
}

/** Sees to it that workers find what they read from, so that they need not know how it is made. */
export class PreparedQueues {
  readonly #layer: QueueMaker;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #queues: readonly string[];
  #preparedAt = 0;
  /** How often the broker had been reached then. */
  #connects = 0;

  constructor(layer: QueueMaker, log: Log, now: () => number, queues: Iterable<string>) {
    this.#layer = layer;
    this.#log = log;
    this.#now = now;
    this.#queues = [...new Set(queues)];
  }

  /** Resolves when it was tried. */
  async prepare(): Promise<void> {
    this.#preparedAt = this.#now();
    this.#connects = this.#layer.stats.connects;
    await Promise.all(this.#queues.map((queue) => this.#prepare(queue)));
  }

  /** To be called often. A broker that comes back may have come back empty. */
  look(): void {
    if (this.#layer.stats.connects !== this.#connects || this.#now() - this.#preparedAt >= EVERY_MS) void this.prepare();
  }

  async #prepare(queue: string): Promise<void> {
    try {
      await this.#layer.prepareQueue(queue);
    } catch (error) {
      if (!isLayerError(error, 'LAYER_AWAY')) this.#log.warn('a queue could not be made ready for its workers', { queue, error: String(error) });
    }
  }
}
