import { isLoopback } from '../admission/hosts.ts';
import type { Config } from '../config.ts';
import type { JwtSettings } from '../config/auth.ts';
import type { Log } from '../log.ts';
import { looserRoutes } from './looseness.ts';

type Warn = Pick<Log, 'warn'>;

/** Bytes of a secret at the least, by what is made with it (RFC 7518 section 3.2). */
const SECRET_BYTES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };

/** Tells an operator, once at the start, what a configuration opens that may not have been meant to be open. */
export function warnOfLooseRules(config: Config, log: Warn): void {
  const { auth, trustedProxies } = config;
  warnOfRoutes(config, log);
  warnOfOrigins(config, log);
  for (const proxies of trustedProxies.filter((one) => one.endsWith('/0'))) {
    log.warn('every client may say which address it has, so that no limit of addresses holds: see trusted_proxies', { proxies });
  }
  if (auth.query) log.warn('a token in the query stands in the logs and histories of whatever it passes: see auth.query');
  if (auth.jwt !== undefined) warnOfTokens(auth.jwt, log);
}

function warnOfRoutes({ demo, host, routes, rooms }: Config, log: Warn): void {
  for (const { right, route, than, rooms: kind } of looserRoutes(routes, rooms)) {
    log.warn('a route is looser than another one for the same rooms', { right, route, than, rooms: kind });
  }
  if (demo && !isLoopback(host)) log.warn('everybody who reaches this machine may be and publish in every room: it is a demo', { host });
  for (const route of demo ? [] : routes) {
    if ('publish' in route && route.publish === 'anyone')
      log.warn('everybody who reaches this gateway may publish: publish is anyone', { route: route.path.text });
  }
}

/** A browser shows a user's cookies for whatever page may connect: so pages that somebody else may have written act for that user. */
function warnOfOrigins({ auth, origins }: Config, log: Warn): void {
  if (auth.http === undefined && auth.cookie === undefined) return;
  for (const origin of origins) {
    const whose = whoseIs(origin);
    if (whose !== undefined) log.warn(`${whose} has the cookies of its user, which say who a client is: see origins`, { origin });
  }
}

/** Which page it may be, where that is not the application's alone. */
function whoseIs(origin: string): string | undefined {
  if (origin === 'null') return 'any file, and any page in a frame of its own,';
  if (origin.includes('://*.')) return 'a page of any host below this one';
  if (origin.endsWith(':*')) return 'a page of any port of this host';
  return isReadable(new URL(origin)) ? 'whoever is on the way to a page over http' : undefined;
}

function warnOfTokens({ keys, algorithms, audience }: JwtSettings, log: Warn): void {
  const { jwks, key } = keys;
  if (jwks !== undefined && isReadable(new URL(jwks))) log.warn('keys come over http: whoever is on the way may put in their own. See auth.jwt.jwks');
  if (jwks !== undefined && audience.length === 0) log.warn('tokens that the issuer made for others are taken too: auth.jwt.audience is not said');
  const bytes = Math.max(...algorithms.map((algorithm) => SECRET_BYTES[algorithm] ?? 0));
  if (key?.secret !== undefined && Buffer.byteLength(key.secret) < bytes) {
    log.warn('the secret of auth.jwt is shorter than it should be: it may be guessed', { at_least_bytes: bytes });
  }
}

function isReadable({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && !isLoopback(hostname);
}
