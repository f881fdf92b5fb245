import { describe, expect, test } from 'vitest';
import { warnOfLooseRules } from '../src/auth/start-warnings.ts';
import { loadConfig } from '../src/config.ts';

const ROUTES = 'routes: [{ path: /s, kind: multiplex, join: anyone, publish: nobody }]';
const HTTP = 'http: { url: "http://app:3000/auth" }';
const SECRET = 's'.repeat(64);

/** What an operator is told at the start, with what belongs to it. */
function warningsOf(yaml: string, argv: readonly string[] = []): readonly string[] {
  const told: string[] = [];
  const config = loadConfig({ argv: ['--config', 'b.yaml', ...argv], env: {}, readFile: () => yaml, descriptors: 20_000 });
  warnOfLooseRules(config, { warn: (message, members) => void told.push(`${message} ${members === undefined ? '' : JSON.stringify(members)}`.trimEnd()) });
  return told;
}

function jwt(members: string): string {
  return `${ROUTES}\nauth: { jwt: { ${members} } }`;
}

describe('an operator is told at the start of', () => {
  test.each([
    [
      'a route that is looser than another one',
      'routes: [{ path: /s, kind: multiplex, join: anyone, publish: nobody }, { path: "/r/:room", kind: room, join: nobody, publish: nobody }]',
      'looser than another one for the same rooms {"right":"join","route":"/s","than":"/r/:room","rooms":">"}',
    ],
    ['a route on which everybody publishes', ROUTES.replace('nobody', 'anyone'), 'publish is anyone {"route":"/s"}'],
    ['proxies that are everybody, IPv4', `${ROUTES}\ntrusted_proxies: [10.0.0.1, 0.0.0.0/0]`, 'which address it has'],
    ['proxies that are everybody, IPv6', `${ROUTES}\ntrusted_proxies: ["::/0"]`, 'which address it has'],
    ['tokens in queries', `${ROUTES}\nauth: { query: true }`, 'auth.query'],
    ['cookies and any host below one', `${ROUTES}\norigins: ["https://*.app.example"]\nauth: { ${HTTP} }`, 'any host below'],
    ['cookies and any port', `${ROUTES}\norigins: ["https://app.example:*"]\nauth: { ${HTTP} }`, 'any port'],
    ['cookies and pages of no origin', `${ROUTES}\norigins: ["null"]\nauth: { ${HTTP} }`, 'any file'],
    ['cookies and pages over http', `${ROUTES}\norigins: ["http://app.example"]\nauth: { ${HTTP} }`, 'on the way to a page over http'],
    [
      'the same, with a token in the cookie',
      `${ROUTES}\norigins: ["http://app.example"]\nauth: { cookie: t, jwt: { key: ${SECRET}, algorithms: [HS512] } }`,
      'over http',
    ],
    ['keys over http', jwt('jwks: "http://id.example/", audience: a, algorithms: [ES256]'), 'keys come over http'],
    ['tokens for others', jwt('jwks: "https://id.example/", algorithms: [ES256]'), 'auth.jwt.audience is not said'],
    ['a secret that may be guessed', jwt('key: short, algorithms: [HS256]'), '{"at_least_bytes":32}'],
    ['a secret that is too short for one of its algorithms', jwt(`key: ${SECRET.slice(1)}, algorithms: [HS256, HS512]`), '{"at_least_bytes":64}'],
  ])('%s', (_, yaml, warning) => {
    expect(warningsOf(yaml)).toEqual([expect.stringContaining(warning)]);
  });

  test('a demo that others reach', () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', '*']) {
      expect(warningsOf('', ['--demo', '--host', host]), host).toEqual([expect.stringContaining(`it is a demo {"host":"${host}"}`)]);
    }
  });
});

test.each([
  ['the smallest configuration', ROUTES],
  ['pages of one origin, with cookies', `${ROUTES}\norigins: ["https://app.example", "http://localhost:3000"]\nauth: { ${HTTP} }`],
  ['pages of many, which have no cookies here', `${ROUTES}\norigins: ["https://*.app.example", "null"]`],
  ['proxies of a network', `${ROUTES}\ntrusted_proxies: [10.0.0.0/8, "fd00::/8"]`],
  ['an issuer of its own machine', jwt('jwks: "http://localhost:8000/", audience: a, algorithms: [ES256]')],
  ['a long secret', jwt(`key: ${SECRET}, algorithms: [HS256, HS512]`)],
])('nobody is told anything of %s', (_, yaml) => {
  expect(warningsOf(yaml)).toEqual([]);
});

test('nor of the demo of a machine’s own', () => {
  for (const host of [[], ['--host', '127.0.0.1'], ['--host', '::1'], ['--host', 'localhost']]) expect(warningsOf('', ['--demo', ...host])).toEqual([]);
});
