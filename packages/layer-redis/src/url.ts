import { UrlReader, type Address, type LayerError, type TlsFiles } from '@busgate/layer/driver';

/** One Redis server: where it listens, or its socket in this machine's file system. */
export type Node = Address & { readonly path?: string };

/** What names a server in messages, and tells it from others. */
export function addressOf({ host, port, path }: Node): string {
  return path ?? `${host}:${port}`;
}

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
}

/** Whose formats are spoken: Busgate's, or those of one of Python's channels_redis layers. */
type WireName = 'busgate' | 'channels-core' | 'channels-pubsub';

/** How a site's channels_redis is configured to write messages. Both sides must agree. */
export interface ChannelsFormat {
  /** `serializer_format` */
  readonly serializer: 'msgpack' | 'json';
  /** `symmetric_encryption_keys`: the first encrypts, all decrypt; none: nothing is encrypted. */
  readonly encryptionKeys: readonly string[];
  /** `random_prefix_length` of the core layer, where it is not its default. */
  readonly randomPrefixLength?: number;
}

/** What a URL says. */
export interface Target {
  readonly kind: 'standalone' | 'sentinel' | 'cluster';
  readonly nodes: readonly Node[];
  /** Sentinel's name of the primary. */
  readonly primary?: string;
  readonly credentials: Credentials;
  readonly sentinelCredentials: Credentials;
  readonly db: number;
  readonly tls?: TlsFiles;
  readonly wire: WireName;
  /** Of the wires of channels_redis. */
  readonly format: ChannelsFormat;
}

const urls = new UrlReader('Redis');
const FORM = /^(redis|valkey)(s?)(-sentinel|-cluster)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^@/?#]*))?(?:\?([^@#]*))?$/;
const SOCKET = /^(?:redis\+unix|unix):\/\/(?:([^@/?#]*)@)?(\/[^?#]+)(?:\?([^@#]*))?$/;
const EXPECTED =
  'expected redis://[user:password@]host[:port][/db], redis-sentinel://h1[:port],h2/<primary>, redis-cluster://h1[:port],h2 (rediss… for TLS, or valkey…) or redis+unix:///path; percent-encode special characters';
const SECRETS: readonly string[] = ['sentinelPassword', 'encryptionKeys'];
const FORMATS = ['serializer', 'encryptionKeys', 'randomPrefixLength'] as const;
const PARAMETERS: readonly string[] = ['db', 'wire', ...FORMATS, 'ca', 'cert', 'key', 'servername', 'sentinelUsername', 'sentinelPassword'];
const WIRES: readonly string[] = ['busgate', 'channels-core', 'channels-pubsub'];
const SERIALIZERS: readonly string[] = ['msgpack', 'json'];

/**
 * Reads `redis://[user:password@]host[:6379][/db]`, `redis-sentinel://[…@]h1[:26379],h2/<primary>`, `redis-cluster://[…@]h1[:6379],h2`;
 * with `rediss` for TLS, or `valkey` and `valkeys`; `redis+unix://[…@]/path` and `unix://…` for a socket; with `wire=channels-…` `redis://` may name several hosts, in the order of the Django site's. Its errors never repeat the
 * URL, which may hold a password and keys.
 * @throws LayerError INVALID_URL
 */
export function parseUrl(url: string): Target {
  const socket = SOCKET.exec(url);
  if (socket !== null) return parseSocket(socket);
  const match = FORM.exec(url);
  if (match === null) throw invalid(EXPECTED);
  const [, , tls, form, userinfo, hosts = '', path = '', query = ''] = match;
  const kind = form === '-sentinel' ? 'sentinel' : form === '-cluster' ? 'cluster' : 'standalone';
  const parameters = readParameters(query);
  const wire = readWire(kind, parameters.get('wire'));
  return {
    kind,
    nodes: readNodes(kind, hosts, wire),
    ...readPrimary(kind, path),
    credentials: readUserinfo(userinfo),
    sentinelCredentials: credentials(parameters.get('sentinelUsername'), parameters.get('sentinelPassword')),
    db: readDb(kind, path, parameters.get('db')),
    ...readTls(tls === 's', parameters),
    wire,
    format: readFormat(wire, parameters),
  };
}

function parseSocket([, userinfo, path = '', query = '']: readonly (string | undefined)[]): Target {
  const parameters = readParameters(query);
  const wire = readWire('standalone', parameters.get('wire'));
  return {
    kind: 'standalone',
    nodes: [{ host: 'localhost', port: 0, path: decode(path, 'path') }],
    credentials: readUserinfo(userinfo),
    sentinelCredentials: {},
    db: readDb('standalone', '', parameters.get('db')),
    ...readTls(false, parameters),
    wire,
    format: readFormat(wire, parameters),
  };
}

function readParameters(query: string): ReadonlyMap<string, string> {
  // Keys are told apart before they are decoded.
  return urls.parameters(query, PARAMETERS, { secrets: SECRETS, raw: ['encryptionKeys'] });
}

function readNodes(kind: Target['kind'], hosts: string, wire: WireName): readonly Node[] {
  const nodes = hosts.split(',').map((host) => urls.address(host, kind === 'sentinel' ? 26379 : 6379));
  if (kind !== 'standalone' || nodes.length === 1) return nodes;
  if (wire === 'busgate') {
    throw invalid(
      'redis:// names one host; several need redis-sentinel:// or redis-cluster://, or the wire of a Django site that has several (wire=channels-…)',
    );
  }
  const twice = nodes.find((node, index) => nodes.findIndex(({ host, port }) => host === node.host && port === node.port) < index);
  if (twice !== undefined) throw invalid(`host ${twice.host}:${twice.port} is named twice; each of several hosts is a server of its own`);
  return nodes;
}

function readPrimary(kind: Target['kind'], path: string): { primary?: string } {
  if (kind !== 'sentinel') return {};
  const primary = decode(path, 'primary');
  if (primary === '') throw invalid('redis-sentinel:// needs the name of the primary after the hosts, as in redis-sentinel://h1,h2/mymaster');
  return { primary };
}

function readFormat(wire: WireName, parameters: ReadonlyMap<string, string>): ChannelsFormat {
  const serializer = parameters.get('serializer') ?? 'msgpack';
  const length = parameters.get('randomPrefixLength');
  const said = FORMATS.find((name) => parameters.has(name));
  if (said !== undefined && wire === 'busgate') throw invalid(`parameter ${said} is channels_redis's: it needs wire=channels-core or wire=channels-pubsub`);
  if (!SERIALIZERS.includes(serializer)) throw invalid(`serializer ${JSON.stringify(serializer)} is unknown; there are ${SERIALIZERS.join(', ')}`);
  if (length !== undefined && wire !== 'channels-core')
    throw invalid('parameter randomPrefixLength is for wire=channels-core: the other layer has no random bytes');
  if (length !== undefined && !/^\d{1,3}$/.test(length)) throw invalid(`randomPrefixLength ${JSON.stringify(length)} is not a whole number from 0 to 999`);
  return {
    serializer: serializer as ChannelsFormat['serializer'],
    encryptionKeys: readKeys(parameters.get('encryptionKeys')),
    ...(length === undefined ? {} : { randomPrefixLength: Number(length) }),
  };
}

function readKeys(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const keys = text.split(',').map((key) => decode(key, 'encryptionKeys'));
  if (keys.includes('')) throw invalid('encryptionKeys holds an empty key; keys are percent-encoded, with commas between them');
  return keys;
}

function readUserinfo(userinfo: string | undefined): Credentials {
  if (userinfo === undefined || userinfo === '') return {};
  const [name = '', ...rest] = userinfo.split(':');
  return credentials(decode(name, 'user'), decode(rest.join(':'), 'password'));
}

/** A user without a password says that he is one: who is `nopass` is let in. */
function credentials(username = '', password = ''): Credentials {
  if (username !== '') return { username, password };
  return password === '' ? {} : { password };
}

function readDb(kind: Target['kind'], path: string, parameter: string | undefined): number {
  const text = kind === 'standalone' && path !== '' ? path : (parameter ?? '0');
  if (!/^\d{1,5}$/.test(text)) throw invalid(`database ${JSON.stringify(text)} is not a whole number`);
  if (kind === 'cluster' && path !== '') throw invalid('Redis Cluster has one database: nothing may follow the hosts');
  if (kind === 'cluster' && Number(text) !== 0) throw invalid('Redis Cluster has one database, 0');
  return Number(text);
}

function readTls(on: boolean, parameters: ReadonlyMap<string, string>): { tls?: TlsFiles } {
  const files = urls.tls(parameters);
  if (!on && files !== undefined) throw invalid(`parameter ${Object.keys(files)[0]} is for TLS: the URL must begin with rediss`);
  return on ? { tls: files ?? {} } : {};
}

function readWire(kind: Target['kind'], wire = 'busgate'): WireName {
  if (!WIRES.includes(wire)) throw invalid(`wire ${JSON.stringify(wire)} is unknown; there are ${WIRES.join(', ')}`);
  if (wire !== 'busgate' && kind === 'cluster') throw invalid(`wire ${wire} cannot run on Redis Cluster: channels_redis itself cannot`);
  return wire as WireName;
}

function decode(text: string, what: string): string {
  return urls.decode(text, what);
}

function invalid(what: string): LayerError {
  return urls.invalid(what);
}
