import type { Config } from '../config.ts';
import type { JwtSettings } from '../config/auth.ts';
import { isLoopback } from '../admission/hosts.ts';
import type { Log } from '../log.ts';
import { looserRoutes } from './looseness.ts';

/** Bytes of a secret at the least, by what is made with it (RFC 7518 section 3.2). */
const SECRET_BYTES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };

/** Tells an operator, once at the start, what a configuration opens that may not have been meant to be open. */
export function warnOfLooseRules(config: Config, log: Pick<Log, 'warn'>): void {
  for (const { right, route, than, rooms } of looserRoutes(config.routes, config.rooms)) {
    log.warn('a route is looser than another one for the same rooms', { right, route, than, rooms });
  }
  for (const route of config.demo ? [] : config.routes) {
    if ('publish' in route && route.publish === 'anyone')
      log.warn('everybody who reaches this gateway may publish: publish is anyone', { route: route.path.text });
  }
  if (config.auth.jwt !== undefined) warnOfTokens(config.auth.jwt, log);
}

function warnOfTokens({ keys, algorithms, audience }: JwtSettings, log: Pick<Log, 'warn'>): void {
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
