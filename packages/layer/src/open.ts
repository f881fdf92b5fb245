import { randomBytes } from 'node:crypto';
import type { LayerOptions } from './contract.ts';
import type { DriverModule } from './driver/driver.ts';
import { LayerError } from './errors.ts';
import { ChannelLayer } from './layer.ts';
import * as memory from './memory/index.ts';
import { resolveOptions } from './options.ts';

/** URL scheme to the package that speaks to that broker. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ...['redis', 'rediss', 'valkey', 'valkeys']
    .flatMap((scheme) => [`${scheme}:`, `${scheme}-sentinel:`, `${scheme}-cluster:`])
    .concat('redis+unix:', 'unix:')
    .map((scheme) => [scheme, '@busgate/layer-redis'] as const),
  ...['nats:', 'tls:'].map((scheme) => [scheme, '@busgate/layer-nats'] as const),
]);

/** The URLs that {@link openLayer} knows, for errors and help texts. */
export const LAYER_URLS =
  'memory:, redis://host:6379 (or valkey://), rediss://…, redis+unix:///path, redis-sentinel://h1,h2/<primary>, redis-cluster://h1,h2, nats://h1,h2, tls://h1,h2';

/**
 * Opens the layer that the URL names. It resolves also while the broker is away: the layer keeps trying, and calls reject with LAYER_AWAY until then.
 * @throws LayerError UNKNOWN_SCHEME, INVALID_URL, INVALID_OPTION, INVALID_NAME (prefix), REFUSED (credentials)
 */
export async function openLayer(url: string, options: LayerOptions = {}): Promise<ChannelLayer> {
  const resolved = resolveOptions(options);
  const module = await loadDriver(url);
  const process = randomBytes(8).toString('hex');
  const layer = new ChannelLayer(module.createDriver(url, { options: resolved, process }), resolved, process);
  try {
    await layer.open();
  } catch (error) {
    await layer.close();
    throw error;
  }
  return layer;
}

async function loadDriver(url: string): Promise<DriverModule> {
  const scheme = /^[a-z][a-z0-9+.-]*:/.exec(String(url))?.[0] ?? '';
  if (scheme === 'memory:') return memory;
  const name = PACKAGES.get(scheme);
  if (name === undefined) throw new LayerError('UNKNOWN_SCHEME', `no layer for a URL that begins with ${JSON.stringify(scheme)}; there are ${LAYER_URLS}`);
  try {
    return (await import(name)) as DriverModule;
  } catch (cause) {
    const { code, message } = cause as { code?: string; message?: string };
    if (code !== 'ERR_MODULE_NOT_FOUND' || message?.includes(`'${name}'`) !== true) throw cause;
    throw new LayerError('UNKNOWN_SCHEME', `${scheme} needs the package ${name}: npm install ${name}`, { cause });
  }
}
