import type { LayerStats, LayerStatus } from '@busgate/layer';

export interface HealthSources {
  readonly layer: { readonly status: LayerStatus; readonly stats: Pick<LayerStats, 'connects'> };
  readonly state: { readonly draining: boolean };
  readonly away: Pick<Absence, 'look'>;
  /** Whether nobody would be let in whom another gateway has banned. */
  readonly knowsBans: () => boolean;
  /** Not ready once the layer has been away for so long, in milliseconds; undefined: never for that. */
  readonly layerGrace: number | undefined;
}

/** Measures how long the layer has been away by a clock that nobody sets, as from when it was first seen to be: look often. */
export class Absence {
  readonly #layer: { readonly status: LayerStatus };
  readonly #now: () => number;
  #since = 0;
  /** Which absence it was that began then. */
  #status: Date | undefined;

  /** `now` in milliseconds, never going back. */
  constructor(layer: { readonly status: LayerStatus }, now: () => number) {
    this.#layer = layer;
    this.#now = now;
  }

  /** Milliseconds; 0 while it is not away. */
  look(): number {
    const { state, since } = this.#layer.status;
    if (state !== 'away') return 0;
    if (since !== this.#status) {
      this.#status = since;
      this.#since = this.#now();
    }
    return this.#now() - this.#since;
  }
}

export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reason: 'starting' | 'draining' | 'layer_not_reached' | 'bans_not_read' | 'layer_away' | 'no_worker' };

/** Of a gateway that can be seen and does not listen for clients yet. */
export const STARTING: Readiness = { ready: false, reason: 'starting' };

/**
 * Whether clients should be sent here. A layer that goes away after it was reached leaves the gateway ready, unless a grace is set: all gateways lose it at
 * once, and sending clients to none of them helps nobody.
 */
export function readiness({ layer, state, away, knowsBans, layerGrace }: HealthSources): Readiness {
  if (state.draining) return { ready: false, reason: 'draining' };
  if (layer.stats.connects === 0) return { ready: false, reason: 'layer_not_reached' };
  if (!knowsBans()) return { ready: false, reason: 'bans_not_read' };
  const tooLong = layerGrace !== undefined && layer.status.state === 'away' && away.look() >= layerGrace;
  return tooLong ? { ready: false, reason: 'layer_away' } : { ready: true };
}
