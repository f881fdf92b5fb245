import { type ChannelLayer, LayerError, openLayer } from '@busgate/layer';
import type { Config } from './config.ts';
import type { RouteConfig } from './config/route-settings.ts';
import type { Log } from './log.ts';

/** The layer that the configuration names. Rejects for one that can never be opened. */
export function openLayerOf(config: Config, logger: Log): Promise<ChannelLayer> {
  const { prefix, expiry, groupExpiry, history, limits, routes, tracing } = config;
  // Where a layer has one bound for all queues it is that of the route that asks for most; elsewhere each message says that of its own.
  const capacity = Math.max(config.capacity, ...routes.map((route) => (route.kind === 'events' ? route.capacity : 0)));
  return openLayer(config.layer, {
    prefix,
    capacity,
    expiryMs: expiry,
    groupExpiryMs: groupExpiry,
    history,
    maxMessageBytes: limits.layerMessage,
    traces: tracing,
    logger,
  });
}

/** @throws LayerError UNSUPPORTED where the layer cannot do what a route asks of it */
export function checkLayer({ capabilities }: ChannelLayer, routes: readonly RouteConfig[]): void {
  const route = routes.find(({ kind }) => kind === 'events');
  const { queues, leases, sendOptions, lacks } = capabilities;
  if (route === undefined || (queues && leases === true && sendOptions === true)) return;
  const why = lacks?.leases ?? lacks?.queues ?? 'this layer has no worker queues that outlive their processes';
  throw new LayerError('UNSUPPORTED', `the route ${route.path.text} gives events to a worker queue: ${why}`);
}
