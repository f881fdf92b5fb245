/**
 * Busgate's channel layer on NATS. `openLayer` of `@busgate/layer` loads it for `nats:` and `tls:` URLs.
 * @module
 */
import type { Driver, DriverContext } from '@busgate/layer/driver';
import { NatsDriver } from './driver.ts';
import { parseUrl } from './url.ts';

/** @throws LayerError INVALID_URL, saying which part of it is wrong and what is allowed */
export function createDriver(url: string, context: DriverContext): Driver {
  return new NatsDriver(parseUrl(url), context);
}
