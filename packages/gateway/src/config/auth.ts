import { BACKEND_URL } from './backend-url.ts';
import { ALGORITHMS, type Algorithm, algorithmsOf, arePublic, type JwtKey, KEY_RULE, readKey } from './jwt-key.ts';
import { maskUrl } from './layer-url.ts';
import { complete, MemberReader, readItems } from './members.ts';
import { duration, type Fault, oneOf, type Report, text, type ValueType } from './types.ts';

/** How tokens are checked. Times in milliseconds. */
export interface JwtSettings {
  /** Where the issuer publishes its keys, or one key of it. */
  readonly keys: { readonly jwks: string; readonly key?: never } | { readonly key: JwtKey; readonly jwks?: never };
  /** Who must have issued it; undefined: anybody who has the key. */
  readonly issuer: string | undefined;
  /** For whom one of them must be; none: for anybody. */
  readonly audience: readonly string[];
  readonly algorithms: readonly Algorithm[];
  /** How far the issuer's clock may be off. */
  readonly leeway: number;
  /** How long a token holds from its issue on, also one that says no end; undefined: as it says. */
  readonly maxAge: number | undefined;
}

/** Who is asked, with what of a request. Times in milliseconds. */
export interface SubrequestSettings {
  readonly url: string;
  /** Names in lower case. */
  readonly headers: readonly string[];
  readonly timeout: number;
  /** How long an answer holds for the same question; 0: each is asked. */
  readonly cache: number;
}

const JWT_EXAMPLE = '{jwks: "https://id.example/jwks.json", issuer: "https://id.example/", audience: live, algorithms: [ES256]}';
const JWT_RULE = `a map such as ${JWT_EXAMPLE}`;
/** It may hold a secret where it is no map. */
const WITHHELD: Fault = { must: JWT_RULE };
const HTTP_RULE = 'a map such as {url: "http://app:3000/live/auth"}';
const JWT_MEMBERS = ['jwks', 'key', 'key_file', 'issuer', 'audience', 'algorithms', 'leeway', 'max_age'];
const HTTP_MEMBERS = ['url', 'headers', 'timeout', 'cache'];

const PLAIN = text('a text of 1 to 1000 characters', 'TEXT', (value) => value !== '' && value.length <= 1000);
const ALGORITHM = oneOf(...ALGORITHMS);
const LEEWAY = duration('0s', '5m');
const MAX_AGE = duration('1s', '24d');
const TIMEOUT = duration('10ms', '1m');
const CACHE = duration('0s', '1h');

/** A header that a request may carry on (RFC 9110 section 5.1). */
const HEADER = text(
  'the name of a header of the client, such as cookie',
  'NAME',
  (value) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/.test(value) && !isOwn(value),
);

/** What a request says of itself, and what the gateway says: not the client's to pass on (RFC 9110 section 7.6.1). */
const OWN =
  /^(?:host|connection|content-length|content-type|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|sec-websocket-.*|x-original-uri|x-forwarded-for)$/i;

/** The name of a cookie (RFC 6265 section 4.1.1). */
export const COOKIE = text('the name of a cookie', 'NAME', (value) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/.test(value));

/** `readFile` reads the file of a key. */
export function jwtSettings(readFile: (path: string) => string): ValueType<JwtSettings> {
  return {
    name: 'map',
    allowed: JWT_RULE,
    placeholder: 'YAML',
    read: (raw, report) => readJwt(raw, readFile, report),
    write: writeJwt,
  };
}

export const subrequestSettings: ValueType<SubrequestSettings> = {
  name: 'map',
  allowed: HTTP_RULE,
  placeholder: 'YAML',
  read(raw, report) {
    const members = MemberReader.of(raw, HTTP_RULE, report);
    members?.refuseOthers('auth.http', HTTP_MEMBERS);
    return (
      members &&
      complete<SubrequestSettings>({
        url: members.take('url', BACKEND_URL),
        headers: members.take(
          'headers',
          list(HEADER, (name) => name.toLowerCase()),
          ['cookie', 'authorization'],
        ),
        timeout: members.take('timeout', TIMEOUT, 2000),
        cache: members.take('cache', CACHE, 0),
      })
    );
  },
  write: ({ url, headers, timeout, cache }) => ({ url: maskUrl(url), headers, timeout: TIMEOUT.write(timeout), cache: CACHE.write(cache) }),
};

function readJwt(raw: unknown, readFile: (path: string) => string, report: Report): JwtSettings | undefined {
  const members = MemberReader.of(raw, JWT_RULE, (fault) => report(fault.at === undefined ? WITHHELD : fault));
  if (members === undefined) return undefined;
  members.refuseOthers('auth.jwt', JWT_MEMBERS);
  const keys = readKeys(members, readFile);
  const said = complete({
    keys,
    audience: members.take('audience', oneOrMore(PLAIN), []),
    algorithms: members.take('algorithms', list(ALGORITHM)),
    leeway: members.take('leeway', LEEWAY, 0),
    ...(members.has('issuer') && { issuer: members.take('issuer', PLAIN) }),
    ...(members.has('max_age') && { maxAge: members.take('max_age', MAX_AGE) }),
  });
  if (said === undefined) return undefined;
  const fault = algorithmsFault(said.keys, said.algorithms);
  if (fault === undefined) return { issuer: undefined, maxAge: undefined, ...said };
  members.refuse('algorithms', fault);
  return undefined;
}

function readKeys(members: MemberReader, readFile: (path: string) => string): JwtSettings['keys'] | undefined {
  const said = ['jwks', 'key', 'key_file'].filter((name) => members.has(name));
  if (said.length > 1) {
    members.refuse(said[1] ?? '', `left out where ${said[0]} is said`);
    return undefined;
  }
  if (said[0] === 'jwks') return complete({ jwks: members.take('jwks', BACKEND_URL) });
  if (said[0] === 'key_file') return complete({ key: members.take('key_file', keyFile(readFile)) });
  return complete({ key: members.take('key', { ...KEY, allowed: `${KEY.allowed}; or key_file, or jwks` }) });
}

/** What is wrong is not shown. */
const KEY: ValueType<JwtKey> = {
  name: 'text',
  allowed: KEY_RULE,
  read(raw, report) {
    const key = typeof raw === 'string' ? readKey(raw) : undefined;
    if (key === undefined) report({ must: KEY_RULE });
    return key;
  },
  write: () => '***',
};

function keyFile(readFile: (path: string) => string): ValueType<JwtKey> {
  return {
    ...KEY,
    read(raw, report) {
      try {
        const key = typeof raw === 'string' ? readKey(readFile(raw).replace(/\r?\n$/, '')) : undefined;
        if (key !== undefined) return key;
      } catch {
        // Told as what it must be.
      }
      report({ got: raw, must: `the name of a file that can be read and holds ${KEY_RULE}` });
      return undefined;
    },
  };
}

/** No key is ever taken for one of another kind: else a token could be signed with what is public (RFC 8725 section 2.1). */
function algorithmsFault(keys: JwtSettings['keys'], algorithms: readonly Algorithm[]): string | undefined {
  if (keys.key === undefined) return arePublic(algorithms) ? undefined : 'without HS256, HS384 and HS512: a secret is not to be published, so it stands in key';
  const fitting = algorithmsOf(keys.key);
  return algorithms.every((algorithm) => fitting.includes(algorithm)) ? undefined : `some of ${fitting.join(', ')}, which are those of this key`;
}

function writeJwt({ keys, issuer, audience, algorithms, leeway, maxAge }: JwtSettings): Record<string, unknown> {
  return {
    ...(keys.jwks === undefined ? { key: '***' } : { jwks: maskUrl(keys.jwks) }),
    ...(issuer !== undefined && { issuer }),
    ...(audience.length > 0 && { audience }),
    algorithms,
    leeway: LEEWAY.write(leeway),
    ...(maxAge !== undefined && { max_age: MAX_AGE.write(maxAge) }),
  };
}

/** A list that is not empty. */
function list<T extends string>(item: ValueType<T>, then: (value: T) => T = (value) => value): ValueType<readonly T[]> {
  const allowed = `a list, each of it ${item.allowed}`;
  return {
    name: 'list',
    allowed,
    read(raw, report) {
      if (Array.isArray(raw) && raw.length > 0) return readItems(raw, (one, told) => item.read(one, told), report)?.map(then);
      report({ got: raw, must: allowed });
      return undefined;
    },
    write: (value) => value,
  };
}

function oneOrMore(item: ValueType<string>): ValueType<readonly string[]> {
  const many = list(item);
  return { ...many, allowed: `${item.allowed}, or ${many.allowed}`, read: (raw, report) => many.read(typeof raw === 'string' ? [raw] : raw, report) };
}

function isOwn(name: string): boolean {
  return OWN.test(name);
}
