import { UrlReader, type Address, type LayerError, type TlsFiles } from '@busgate/layer/driver';

/** One NATS server. */
export type Server = Address;

/** How a client says who it is: one of these, or none. Paths are read at every connect, so that what they hold can be renewed. */
export interface Credentials {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Path of a file that holds an NKey seed. */
  readonly nkey?: string;
  /** Path of a credentials file (JWT and seed), as `nsc` writes it. */
  readonly creds?: string;
}

/** What a URL says. */
export interface Target {
  readonly servers: readonly Server[];
  readonly credentials: Credentials;
  /** Present where TLS is demanded; without it TLS is used where the server demands it. */
  readonly tls?: TlsFiles;
  /** Copies that JetStream keeps of each stream; without it 3 in a cluster, else 1. */
  readonly replicas?: number;
  /** JetStream domain, for leaf nodes. */
  readonly domain?: string;
}

const urls = new UrlReader('NATS');
const FORM = /^(nats|tls):\/\/([^/?#]+)\/?(?:\?([^#]*))?$/;
const PARAMETERS = ['replicas', 'domain', 'nkey', 'creds', 'ca', 'cert', 'key', 'servername'];
const EXPECTED =
  'expected nats://[user:password@ or token@]host[:4222][,host…][?creds=…&nkey=…&ca=…&cert=…&key=…&servername=…&replicas=…&domain=…], or tls://…; percent-encode special characters';

/**
 * Reads a URL, or a list of them that differ in the host alone: `nats://a,b` is `nats://a,nats://b`. Its errors never repeat the URL, which may
 * hold a password.
 * @throws LayerError INVALID_URL
 */
export function parseUrl(url: string): Target {
  const [, scheme, authority = '', query = ''] = FORM.exec(url.replaceAll(/,\s*(nats|tls):\/\//g, ',')) ?? [];
  if (scheme === undefined) throw invalid(EXPECTED);
  const parameters = urls.parameters(query, PARAMETERS);
  const parts = authority.split(',').map((part) => splitUserinfo(part.trim()));
  const replicas = readReplicas(parameters.get('replicas'));
  const domain = readDomain(parameters.get('domain'));
  return {
    servers: parts.map(({ host }) => urls.address(host, 4222)),
    credentials: readCredentials(parts.find(({ userinfo }) => userinfo !== undefined)?.userinfo, parameters),
    ...readTls(scheme === 'tls', parameters),
    ...(replicas === undefined ? {} : { replicas }),
    ...(domain === undefined ? {} : { domain }),
  };
}

function splitUserinfo(part: string): { userinfo?: string; host: string } {
  const at = part.lastIndexOf('@');
  return at === -1 ? { host: part } : { userinfo: part.slice(0, at), host: part.slice(at + 1) };
}

function readCredentials(userinfo: string | undefined, parameters: ReadonlyMap<string, string>): Credentials {
  const nkey = parameters.get('nkey');
  const creds = parameters.get('creds');
  const given = [userinfo, nkey, creds].filter((value) => value !== undefined);
  if (given.length > 1) throw invalid('one of user:password@, token@, nkey= and creds= says who this is, not several');
  if (nkey !== undefined) return { nkey };
  if (creds !== undefined) return { creds };
  if (userinfo === undefined) return {};
  const colon = userinfo.indexOf(':');
  if (colon === -1) return { token: decode(userinfo, 'token') };
  return { user: decode(userinfo.slice(0, colon), 'user'), password: decode(userinfo.slice(colon + 1), 'password') };
}

function readTls(demanded: boolean, parameters: ReadonlyMap<string, string>): { tls?: TlsFiles } {
  const files = urls.tls(parameters);
  return demanded || files !== undefined ? { tls: files ?? {} } : {};
}

function readReplicas(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-5]$/.test(text)) throw invalid(`replicas must be 1 to 5, not ${JSON.stringify(text)}`);
  return Number(text);
}

function readDomain(text: string | undefined): string | undefined {
  if (text !== undefined && !/^[A-Za-z0-9_-]+$/.test(text)) throw invalid(`domain ${JSON.stringify(text)} is not the name of a JetStream domain`);
  return text;
}

function decode(text: string, what: string): string {
  return urls.decode(text, what);
}

function invalid(what: string): LayerError {
  return urls.invalid(what);
}
