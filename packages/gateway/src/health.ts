import type { LayerStats, LayerStatus } from '@busgate/layer';

export interface HealthSources {
  readonly layer: { readonly status: LayerStatus; readonly stats: Pick<LayerStats, 'connects'> };
  readonly state: { readonly draining: boolean };
  /** Not ready once the layer has been away for so long, in milliseconds; undefined: never for that. */
  readonly layerGrace: number | undefined;
  /** Milliseconds since 1970, as the layer's status counts. */
  readonly now: () => number;
}

export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: 'draining' | 'layer_not_reached' | 'layer_away' };

/**
 * Whether clients should be sent here. A layer that goes away after it was reached leaves the gateway ready, unless a grace is set: all gateways lose it at
 * once, and sending clients to none of them helps nobody.
 */
export function readiness({ layer, state, layerGrace, now }: HealthSources): Readiness {
  if (state.draining) return { ready: false, reason: 'draining' };
  if (layer.stats.connects === 0) return { ready: false, reason: 'layer_not_reached' };
  const { status } = layer;
  const tooLong = layerGrace !== undefined && status.state === 'away' && now() - status.since.getTime() >= layerGrace;
  return tooLong ? { ready: false, reason: 'layer_away' } : { ready: true };
}
