import { type ChannelLayer, openLayer } from '@busgate/layer';
import type { Config } from './config.ts';
import type { Log } from './log.ts';

/** The layer that the configuration names. Rejects for one that can never be opened. */
export function openLayerOf(config: Config, logger: Log): Promise<ChannelLayer> {
  const { prefix, expiry, groupExpiry, history, limits, routes } = config;
  // One bound for all queues of a layer: that of the route that asks for most.
  const capacity = Math.max(config.capacity, ...routes.map((route) => (route.kind === 'events' ? route.capacity : 0)));
  return openLayer(config.layer, {
    prefix,
    capacity,
    expiryMs: expiry,
    groupExpiryMs: groupExpiry,
    history,
    maxMessageBytes: limits.layerMessage,
    logger,
  });
}
