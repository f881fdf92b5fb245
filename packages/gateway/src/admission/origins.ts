import { isAddress, isLoopback, nameOf } from './hosts.ts';

/** `https://*.example.com:*`: the scheme, whether any names may stand before the host, the host, and the port. */
const PATTERN = /^([^:]+:\/\/)(\*\.)?(.*?)(:\*)?$/;
/** What the star before a host stands for. */
const NAMES = /^(?:[a-z0-9_-]+\.)+$/;

/** The pages that may connect, by the `Origin` that browsers send for them (RFC 6454 section 7). */
export class Origins {
  readonly #exact: ReadonlySet<string>;
  readonly #patterns: readonly ((origin: string) => boolean)[];

  /** As the setting `origins` has them; none: pages of the host that is asked. */
  constructor(listed: readonly string[]) {
    this.#exact = new Set(listed.filter((origin) => !origin.includes('*')));
    this.#patterns = listed.filter((origin) => origin.includes('*')).map(patternOf);
  }

  /** `host`: what the request asked, with its port. */
  allow(origin: string, host: string): boolean {
    if (this.#exact.size === 0 && this.#patterns.length === 0) return isOfHost(origin, host);
    return this.#exact.has(origin) || this.#patterns.some((matches) => matches(origin));
  }
}

function patternOf(pattern: string): (origin: string) => boolean {
  const [, scheme = '', anyName, host = '', anyPort] = PATTERN.exec(pattern) ?? [];
  return (origin) => {
    if (!origin.startsWith(scheme)) return false;
    const rest = origin.slice(scheme.length);
    const asked = anyPort === undefined ? rest : rest.replace(/:\d{1,5}$/, '');
    if (anyName === undefined) return asked === host;
    return asked.endsWith(host) && NAMES.test(asked.slice(0, -host.length));
  };
}

/**
 * Compared whole, as browsers send it: scheme, host and port. Behind a proxy the scheme of the host that was asked is not known. Over http a page may have reached
 * this host by a name of its own, whose DNS says now that it is here: so there only what no DNS can change the meaning of is believed. Over https the name was proved.
 */
function isOfHost(origin: string, host: string): boolean {
  const asked = host.toLowerCase();
  if (origin === `https://${withoutPort(asked, ':443')}`) return true;
  const name = nameOf(asked);
  return (isLoopback(name) || isAddress(name)) && origin === `http://${withoutPort(asked, ':80')}`;
}

/** Browsers leave out the port that the scheme implies. */
function withoutPort(host: string, port: string): string {
  return host.endsWith(port) ? host.slice(0, -port.length) : host;
}
