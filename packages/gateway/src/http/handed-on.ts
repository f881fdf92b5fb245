import type { IncomingMessage } from 'node:http';

/** What proxies write into what they hand on. */
const SIGNS = ['via', 'forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip'];

/**
 * Whether a proxy says that the request is not its own. Nothing is believed of it. An answer to it has no `Upgrade`: that is for whoever is connected, and not to be handed on
 * (RFC 9110 section 7.8), but nginx does, and to a client of HTTP/2 an answer that has one is malformed (RFC 9113 section 8.2.2).
 */
export function isHandedOn({ headers }: IncomingMessage): boolean {
  return SIGNS.some((sign) => headers[sign] !== undefined);
}
