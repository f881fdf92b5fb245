import { text, type ValueType } from './types.ts';

/** The URL of a layer. It may hold credentials. */
export const layerUrl: ValueType<string> = text('a layer URL such as memory:, redis://host:6379 or nats://host:4222', 'URL', (value) =>
  /^[a-z][a-z0-9+.-]*:(?:\/\/[^\s/]+(?:[/?][^\s]*)?|\/\/\/[^\s]+)?$/.test(value),
);

/**
 * The URL without what only its owner may know: everything up to the last @ goes, since a password may hold any character, and so does the query. Where
 * the last @ may stand in the query, all goes but the scheme.
 */
export function maskUrl(url: string): string {
  const query = url.indexOf('?');
  if (query !== -1 && query < url.lastIndexOf('@')) return `${/^(?:[a-z][a-z0-9+.-]*:\/*)?/.exec(url)?.[0]}***`;
  return url.replace(/^([a-z][a-z0-9+.-]*:\/*)?.*@/s, '$1***@').replace(/\?.*$/s, '?***');
}
