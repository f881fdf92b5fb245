import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ConfigError } from '../src/config/faults.ts';
import { printConfig } from '../src/config/print.ts';
import { type Config, loadConfig } from '../src/config.ts';
import { eachCase } from '../../../test/support/each-case.ts';

const FILES: Record<string, string> = {
  rsa: pem('rsa', { modulusLength: 2048 }),
  short: pem('rsa', { modulusLength: 1024 }),
  p256: pem('ec', { namedCurve: 'P-256' }),
  koblitz: pem('ec', { namedCurve: 'secp256k1' }),
  ed25519: pem('ed25519', {}),
  private: generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  secret: 'of the file\n',
  empty: '\n',
};

function pem(type: string, options: object): string {
  const make = generateKeyPairSync as unknown as (type: string, options: object) => { publicKey: { export(how: object): string } };
  return make(type, options).publicKey.export({ format: 'pem', type: 'spki' });
}

function load(yaml: string): Config {
  const readFile = (path: string): string => {
    const content = path === 'b.yaml' ? yaml : FILES[path];
    if (content === undefined) throw new Error(`ENOENT: ${path}`);
    return content;
  };
  return loadConfig({ argv: ['--demo', '--config', 'b.yaml'], env: {}, readFile, descriptors: 20_000 });
}

function faultsOf(yaml: string): readonly string[] {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe('auth.jwt', () => {
  test('as the design has it', () => {
    const { auth } = load(
      'auth: { jwt: { jwks: "https://id.example/jwks.json", issuer: "https://id.example/", audience: live, algorithms: [ES256, RS256], leeway: 30s } }',
    );
    expect(auth.jwt).toEqual({
      keys: { jwks: 'https://id.example/jwks.json' },
      issuer: 'https://id.example/',
      audience: ['live'],
      algorithms: ['ES256', 'RS256'],
      leeway: 30_000,
      maxAge: undefined,
    });
    expect([auth.query, auth.cookie, auth.grace]).toEqual([false, undefined, 25_000]);
  });

  test('may stand in a variable, as YAML in one line', () => {
    const config = loadConfig({
      argv: ['--demo'],
      env: { BUSGATE_AUTH_JWT: '{key: secret, algorithms: [HS256], max_age: 1h}' },
      readFile: () => '',
      descriptors: 20_000,
    });
    expect(config.auth.jwt).toMatchObject({ keys: { key: { secret: 'secret' } }, maxAge: 3_600_000, leeway: 0, audience: [] });
  });

  test('a key goes with the algorithms of its kind alone', () =>
    eachCase(
      [
        ['rsa', 'RS256, RS384, RS512, PS256, PS384, PS512'],
        ['p256', 'ES256'],
        ['ed25519', 'EdDSA, Ed25519'],
        ['secret', 'HS256, HS384, HS512'],
      ],
      (file, own) => {
        expect(faultsOf(`auth: { jwt: { key_file: ${file}, algorithms: [${own}] } }`)).toEqual([]);
        for (const other of ['RS256', 'ES256', 'EdDSA', 'HS256'].filter((algorithm) => !own.includes(algorithm))) {
          expect(faultsOf(`auth: { jwt: { key_file: ${file}, algorithms: [${own}, ${other}] } }`)).toEqual([
            `b.yaml: auth.jwt.algorithms must be some of ${own}, which are those of this key`,
          ]);
        }
      },
    ));

  test('a secret of a file loses the line feed at its end, and is shown nowhere', () => {
    const config = load('auth: { jwt: { key_file: secret, algorithms: [HS256] }, http: { url: "http://app/auth?key=hidden" } }');
    expect(config.auth.jwt?.keys.key?.secret).toBe('of the file');
    expect(printConfig(config)).not.toMatch(/of the file|hidden/);
    expect(parse(printConfig(config))).toMatchObject({
      auth: { jwt: { key: '***', algorithms: ['HS256'], leeway: '0ms' }, http: { url: 'http://app/auth?***' } },
    });
    for (const yaml of ['auth: { jwt: hidden }', 'auth: { jwt: { key: [hidden], algorithms: [HS256] } }', 'auth: { jwt: { key: " ", algorithms: [HS256] } }']) {
      expect(faultsOf(yaml)).toHaveLength(1);
      expect(faultsOf(yaml).join()).not.toContain('hidden');
    }
  });

  test('what cannot be is refused, and the error says why', () =>
    eachCase(
      [
        ['{ algorithms: [HS256] }', 'key must be said'],
        ['{ key: a, key_file: secret, algorithms: [HS256] }', 'key_file must be left out where key is said'],
        ['{ key: a }', 'algorithms must be said'],
        ['{ key: a, algorithms: [] }', 'algorithms is []'],
        ['{ key: a, algorithms: [none] }', 'algorithms[0] is "none"'],
        ['{ key: a, algorithms: HS256 }', 'algorithms is "HS256"'],
        ['{ jwks: "https://id.example/", algorithms: [HS256, ES256] }', 'without HS256'],
        ['{ jwks: "file:///etc/passwd", algorithms: [ES256] }', 'an http or https URL'],
        ['{ key_file: short, algorithms: [RS256] }', 'RSA of 2048 bits or more'],
        ['{ key_file: koblitz, algorithms: [ES256] }', 'P-256'],
        ['{ key_file: private, algorithms: [EdDSA] }', 'a public key'],
        ['{ key_file: empty, algorithms: [HS256] }', 'a file that can be read'],
        ['{ key_file: none, algorithms: [HS256] }', 'a file that can be read'],
        ['{ key: a, algorithms: [HS256], leeway: 10m }', 'leeway'],
        ['{ key: a, algorithms: [HS256], issuers: [a] }', 'issuers must be left out'],
        ['{ key: a, algorithms: [HS256], audience: [] }', 'audience'],
      ],
      (jwt, fault) => {
        expect(faultsOf(`auth: { jwt: ${jwt} }`)).toEqual([expect.stringContaining(fault)]);
      },
    ));
});

describe('auth.http', () => {
  test('names of headers in lower case, and what holds without them', () => {
    expect(load('auth: { http: { url: "http://app:3000/live/auth", headers: [Cookie, X-Key], timeout: 1s, cache: 10s } }').auth.http).toEqual({
      url: 'http://app:3000/live/auth',
      headers: ['cookie', 'x-key'],
      timeout: 1000,
      cache: 10_000,
    });
    expect(load('auth: { http: { url: "http://app:3000/" } }').auth.http).toMatchObject({ headers: ['cookie', 'authorization'], timeout: 2000, cache: 0 });
  });

  test('what cannot be is refused, and the error says why', () =>
    eachCase(
      [
        ['{ headers: [cookie] }', 'url must be said'],
        ['{ url: "app:3000" }', 'url is'],
        ['{ url: "http://u:p@app/" }', 'without a name and password'],
        ['{ url: "http://app/", headers: [Host] }', 'headers[0]'],
        ['{ url: "http://app/", headers: [x-forwarded-for] }', 'headers[0]'],
        ['{ url: "http://app/", headers: ["a b"] }', 'headers[0]'],
        ['{ url: "http://app/", cookies: true }', 'cookies must be left out'],
      ],
      (http, fault) => {
        expect(faultsOf(`auth: { http: ${http} }`)).toEqual([expect.stringContaining(fault)]);
      },
    ));
});

describe('who is known', () => {
  const JWT = 'auth: { jwt: { key: a, algorithms: [HS256] } }';

  test('what is for those who are known needs auth', () =>
    eachCase(
      [
        ['routes: [{ path: /s, kind: multiplex, join: user, publish: nobody }]', 'the route /s'],
        ['routes: [{ path: /s, kind: multiplex, join: anyone, publish: token }]', 'the route /s'],
        ['rooms: [{ rooms: "a.>", publish: user }]', 'the rule of the rooms a.>'],
        ['rooms: [{ rooms: "a.{sub}.>", join: anyone }]', 'the rule of the rooms a.{sub}.>'],
      ],
      (yaml, name) => {
        expect(faultsOf(yaml)).toEqual([`${name} is for those who are known, so auth.jwt or auth.http must be said`]);
        expect(faultsOf(`${yaml}\n${JWT}`)).toEqual([]);
        expect(faultsOf(`${yaml}\nauth: { http: { url: "http://app/" } }`)).toEqual([]);
      },
    ));

  test('a token in a cookie needs a way to check it', () => {
    expect(faultsOf('auth: { cookie: token, http: { url: "http://app/" } }')).toEqual([expect.stringContaining('auth.cookie needs auth.jwt')]);
    expect(faultsOf('auth: { cookie: "a b" }')).toEqual([expect.stringContaining('the name of a cookie'), expect.anything()].slice(0, 1));
  });

  test('auth that is said, and wrong, is not told to be missing', () => {
    const faults = faultsOf(`
      auth: { jwt: { key: secret, algorithms: [none] }, http: { url: "ftp://app" }, cookie: t }
      rooms: [{ rooms: "user.{sub}.>", join: user }]
      limits: { user: { sessions: 2 } }`);
    expect(faults.map((fault) => fault.split(' is ')[0])).toEqual(['b.yaml: auth.jwt.algorithms[0]', 'b.yaml: auth.http.url']);
  });

  test('a rule of rooms has a pattern of theirs, and words that are known', () => {
    expect(load(`${JWT}\nrooms: [{ rooms: "user.{sub}.>", join: user }, { rooms: "public.>", join: anyone, publish: nobody }]`).rooms).toMatchObject([
      { rooms: 'user.{sub}.>', join: 'user', publish: undefined },
      { rooms: 'public.>', join: 'anyone', publish: 'nobody' },
    ]);
    for (const rooms of ['a.>.b', '', 'a.{sub', '{user}.a', 'a..b']) expect(faultsOf(`rooms: [{ rooms: "${rooms}", join: anyone }]`)).toHaveLength(1);
    expect(faultsOf('rooms: [{ rooms: a, join: everybody }]')).toHaveLength(1);
    expect(faultsOf('rooms: [{ rooms: a, joins: anyone }]')).toEqual([expect.stringContaining('the nearest is join')]);
    expect(faultsOf('rooms: { rooms: a }')).toHaveLength(1);
  });
});
