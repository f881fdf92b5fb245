/**
 * Busgate's channel layer on Redis. `openLayer` of `@busgate/layer` loads it for `redis:`, `redis-sentinel:` and `redis-cluster:` URLs,
 * the same with `rediss`, `valkey` and `valkeys`, and for `redis+unix:` and `unix:`.
 * @module
 */
import type { Driver, DriverContext } from '@busgate/layer/driver';
import { ChannelsDriver } from './channels/driver.ts';
import { RedisDriver } from './driver.ts';
import { parseUrl } from './url.ts';

/** @throws LayerError INVALID_URL, saying which part of it is wrong and what is allowed */
export function createDriver(url: string, context: DriverContext): Driver {
  const target = parseUrl(url);
  return target.wire === 'busgate' ? new RedisDriver(target, context) : new ChannelsDriver(target, target.wire, context);
}
