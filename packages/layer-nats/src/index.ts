/**
 * Busgate's channel layer on NATS. `openLayer` of `@busgate/layer` loads it for `nats:` and `tls:` URLs.
 * @module
 */
import type { Driver, DriverContext } from '@busgate/layer/driver';
import { NatsDriver } from './driver.ts';
import { checkPrefix } from './subjects.ts';
import { parseUrl } from './url.ts';

/** @throws LayerError INVALID_URL, saying which part of it is wrong and what is allowed; INVALID_OPTION for a prefix that NATS cannot keep apart */
export function createDriver(url: string, context: DriverContext): Driver {
  checkPrefix(context.options.prefix);
  return new NatsDriver(parseUrl(url), context);
}
