import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { CompactEncrypt, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { JwtChecker } from '../src/auth/jwt.ts';
import { type Keys, OneKey } from '../src/auth/keys.ts';
import type { JwtSettings } from '../src/config/auth.ts';
import type { Algorithm, JwtKey } from '../src/config/jwt-key.ts';
import { claimsOf, encoded, SECRET, seconds, signed, tokenFor } from './support/tokens.ts';

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ED = generateKeyPairSync('ed25519');

function checkerOf(key: JwtKey, algorithms: readonly Algorithm[], changes: Partial<JwtSettings> = {}, now = Date.now): JwtChecker {
  const settings = { keys: { key }, issuer: undefined, audience: [], algorithms, leeway: 0, maxAge: undefined, ...changes };
  return new JwtChecker({ settings, keys: new OneKey(key), now });
}

function check(token: string, changes: Partial<JwtSettings> = {}, now?: () => number): Promise<unknown> {
  return checkerOf({ secret: SECRET }, ['HS256'], changes, now).check(token);
}

describe('a good token', () => {
  test('says who it is, what it may and until when', async () => {
    const busgate = { join: ['chat.*'], publish: ['chat.1'], info: { name: 'Bob' } };
    const [iat, exp] = [seconds() - 5, seconds() + 60];
    expect(await check(tokenFor({ iat, exp, jti: 'one', busgate }))).toEqual({
      user: 'bob',
      ...busgate,
      expiresAt: exp * 1000,
      issuedAt: iat * 1000,
      id: 'one',
    });
    expect(await check(tokenFor({ sub: undefined, iat: undefined }))).toMatchObject({
      user: undefined,
      join: [],
      publish: [],
      info: undefined,
      issuedAt: undefined,
    });
  });

  test.each([
    ['RS256', RSA],
    ['PS384', RSA],
    ['ES256', P256],
    ['EdDSA', ED],
  ] as const)('is signed with %s', async (algorithm, { privateKey, publicKey }) => {
    const token = await new SignJWT({ sub: 'bob' }).setProtectedHeader({ alg: algorithm }).setExpirationTime('1h').sign(privateKey);
    expect(await checkerOf({ publicKey }, [algorithm]).check(token)).toMatchObject({ user: 'bob' });
    const [head, , signature] = token.split('.');
    expect(await checkerOf({ publicKey }, [algorithm]).check(`${head}.${encoded(JSON.stringify(claimsOf({ sub: 'eve' })))}.${signature}`)).toBe('signature');
  });

  test('holds from its first second on and not at its last, with the leeway on either side', async () => {
    const now = seconds();
    const token = tokenFor({ nbf: now, exp: now + 10 });
    const at = (offset: number, leeway = 0): Promise<unknown> => check(token, { leeway }, () => (now + offset) * 1000);
    expect(await Promise.all([at(-0.001), at(0), at(9.999), at(10)])).toEqual(['too_early', expect.anything(), expect.anything(), 'expired']);
    expect(await Promise.all([at(-5.001, 5000), at(-5, 5000), at(14.999, 5000), at(15, 5000)])).toEqual([
      'too_early',
      expect.anything(),
      expect.anything(),
      'expired',
    ]);
  });

  test('with max_age it may say no end, and none is later than that', async () => {
    const now = seconds();
    const maxAge = 60_000;
    const at = (claims: object, offset = 0): Promise<unknown> =>
      check(signed({ alg: 'HS256' }, JSON.stringify(claims)), { maxAge }, () => (now + offset) * 1000);
    expect(await at({ iat: now })).toMatchObject({ expiresAt: (now + 60) * 1000 });
    expect(await at({ iat: now, exp: now + 3600 })).toMatchObject({ expiresAt: (now + 60) * 1000 });
    expect(await at({ iat: now, exp: now + 30 })).toMatchObject({ expiresAt: (now + 30) * 1000 });
    expect(await Promise.all([at({ iat: now }, 60), at({ exp: now + 30 }), at({ iat: now + 1 })])).toEqual(['expired', 'no_end', 'too_early']);
  });
});

describe('a token that is not believed', () => {
  test.each<[string, Readonly<Record<string, unknown>>, Partial<JwtSettings>]>([
    ['expired', { exp: seconds() - 1 }, {}],
    ['no_end', { exp: undefined }, {}],
    ['too_early', { nbf: seconds() + 60 }, {}],
    ['bad_claims', { exp: '9999999999' }, {}],
    ['bad_claims', { exp: 1e15 }, {}],
    ['bad_claims', { exp: Date.now() + 3_600_000 }, {}],
    ['bad_claims', { exp: null }, {}],
    ['bad_claims', { nbf: 'now' }, {}],
    ['bad_claims', { iat: {} }, {}],
    ['bad_claims', { sub: 7 }, {}],
    ['bad_claims', { sub: '' }, {}],
    ['bad_claims', { jti: ['a'] }, {}],
    ['bad_claims', { busgate: { join: 'chat.1' } }, {}],
    ['bad_claims', { busgate: { join: ['chat..1'] } }, {}],
    ['bad_claims', { busgate: { publish: ['user.{sub}.>'] } }, {}],
    ['bad_claims', { busgate: [] }, {}],
    ['issuer', { iss: 'https://other.example/' }, { issuer: 'https://id.example/' }],
    ['issuer', { iss: ['https://id.example/'] }, { issuer: 'https://id.example/' }],
    ['issuer', {}, { issuer: 'https://id.example/' }],
    ['audience', { aud: 'other' }, { audience: ['live'] }],
    ['audience', { aud: ['other', 'more'] }, { audience: ['live'] }],
    ['audience', {}, { audience: ['live'] }],
  ])('%s: %j', async (fault, claims, settings) => {
    expect(await check(tokenFor(claims), settings)).toBe(fault);
  });

  test('one of several audiences is enough', async () => {
    expect(await check(tokenFor({ aud: ['a', 'live'] }), { audience: ['x', 'live'] })).toMatchObject({ user: 'bob' });
  });

  test.each([
    ['no parts', ''],
    ['two parts', 'a.b'],
    ['four parts', `${tokenFor()}.a`],
    ['an empty signature', `${tokenFor().split('.').slice(0, 2).join('.')}.`],
    ['letters that are none of base64url', tokenFor().replace('.', '.=')],
    ['a head that is no JSON', signed('{', JSON.stringify(claimsOf()))],
    ['a head that is a list', signed('[]', JSON.stringify(claimsOf()))],
    ['claims that are no JSON', signed({ alg: 'HS256' }, '{"sub":"bob"')],
    ['claims that are a text', signed({ alg: 'HS256' }, '"bob"')],
    ['claims that are nested too deeply', signed({ alg: 'HS256' }, `{"sub":"bob","exp":${seconds() + 60},"a":${'['.repeat(40)}${']'.repeat(40)}}`)],
  ])('with %s it is malformed', async (_, token) => {
    expect(['malformed', 'algorithm']).toContain(await check(token));
  });

  test('a long one is not looked into, whoever has signed it', async () => {
    const long = tokenFor({ busgate: { info: 'x'.repeat(3000) } });
    expect(long.length).toBeGreaterThan(4096);
    const never: Keys = { find: () => Promise.reject(new Error('it was looked into')), close: async () => undefined };
    const settings: JwtSettings = { keys: { key: { secret: SECRET } }, issuer: undefined, audience: [], algorithms: ['HS256'], leeway: 0, maxAge: undefined };
    expect(await new JwtChecker({ settings, keys: never, now: Date.now }).check(long)).toBe('too_long');
    expect(await check(tokenFor({ busgate: { info: 'x'.repeat(2000) } }))).toMatchObject({ user: 'bob' });
  });
});

describe('attacks of RFC 8725', () => {
  const claims = JSON.stringify(claimsOf());

  test.each(['none', 'None', 'NONE', 'nOnE', ''])('alg %s, with and without a signature', async (alg) => {
    const text = `${encoded(JSON.stringify({ alg }))}.${encoded(claims)}`;
    expect(await check(`${text}.`)).toBe('malformed');
    expect(await check(signed({ alg }, claims))).toBe('algorithm');
    expect(await check(text)).toBe('malformed');
  });

  test('HS256 with the public key for a secret, in each form in which it may be had', async () => {
    const checker = checkerOf({ publicKey: RSA.publicKey }, ['RS256', 'PS256']);
    const pem = RSA.publicKey.export({ format: 'pem', type: 'spki' }).toString();
    const forms = [pem, pem.trimEnd(), RSA.publicKey.export({ format: 'der', type: 'spki' }), JSON.stringify(RSA.publicKey.export({ format: 'jwk' }))];
    for (const form of forms) {
      for (const alg of ['HS256', 'RS256']) {
        const text = `${encoded(JSON.stringify({ alg }))}.${encoded(claims)}`;
        const token = `${text}.${createHmac('sha256', form).update(text).digest('base64url')}`;
        expect(await checker.check(token)).toBe(alg === 'HS256' ? 'algorithm' : 'signature');
      }
    }
  });

  test('an algorithm of another strength, or of another family with the same key', async () => {
    const rs512 = await new SignJWT({}).setProtectedHeader({ alg: 'RS512' }).setExpirationTime('1h').sign(RSA.privateKey);
    expect(await checkerOf({ publicKey: RSA.publicKey }, ['RS256']).check(rs512)).toBe('algorithm');
    const hs512 = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS512' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(SECRET.repeat(2)));
    expect(await check(hs512)).toBe('algorithm');
    const [head = '', body = '', signature = ''] = rs512.split('.');
    const renamed = `${encoded(JSON.stringify({ alg: 'RS256' }))}.${body}.${signature}`;
    expect(head).not.toBe('');
    expect(await checkerOf({ publicKey: RSA.publicKey }, ['RS256']).check(renamed)).toBe('signature');
  });

  test('a key of its own: jwk, jku, x5u, x5c, and a kid that is a path, a URL or a query', async () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = own.publicKey.export({ format: 'jwk' });
    const heads: object[] = [
      { jwk },
      { jku: 'http://127.0.0.1:1/jwks.json' },
      { x5u: 'http://127.0.0.1:1/cert.pem' },
      { x5c: [own.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')] },
      ...['../../../../dev/null', '/proc/self/environ', 'http://127.0.0.1:1/', "' UNION SELECT 'x", '\u0000'].map((kid) => ({ kid })),
    ];
    for (const head of heads) {
      const text = `${encoded(JSON.stringify({ alg: 'ES256', ...head }))}.${encoded(claims)}`;
      const token = `${text}.${signature(own.privateKey, text)}`;
      expect(await checkerOf({ publicKey: P256.publicKey }, ['ES256']).check(token)).toBe('signature');
      expect(await checkerOf({ publicKey: own.publicKey }, ['ES256']).check(token)).toMatchObject({ user: 'bob' });
    }
    // What an empty file, or a key of zeros, would be.
    for (const secret of ['', '\u0000']) expect(await check(signed({ alg: 'HS256', kid: '../../dev/null' }, claims, secret))).toBe('signature');
    expect(await check(signed({ alg: 'HS256', kid: 7 }, claims))).toBe('malformed');
  });

  test('what must be understood is nothing that is: crit, and an unencoded payload', async () => {
    for (const crit of [['exp'], ['b64'], ['x'], [], 'exp', null]) expect(await check(signed({ alg: 'HS256', crit, x: 1 }, claims))).toBe('malformed');
    const head = { alg: 'HS256', b64: false, crit: ['b64'] };
    const text = `${encoded(JSON.stringify(head))}.${claims}`;
    expect(await check(`${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`)).toBe('malformed');
  });

  test('a member that stands twice, in the head, in the claims and below them, however it is written', async () => {
    const exp = seconds() + 60;
    const twice = [
      `{"sub":"bob","sub":"eve","exp":${exp}}`,
      `{"sub":"bob","s\\u0075b":"eve","exp":${exp}}`,
      `{"sub":"bob","exp":1,"exp":${exp}}`,
      `{"exp":${exp},"busgate":{"join":[],"join":[">"]}}`,
      `{"exp":${exp},"busgate":{"info":[{"a":1,"b":{},"a":2}]}}`,
    ];
    for (const one of twice) expect(await check(signed({ alg: 'HS256' }, one))).toBe('malformed');
    expect(await check(signed('{"alg":"HS256","alg":"none"}', claims))).toBe('malformed');
    const apart = `{"sub":"sub","exp":${exp},"busgate":{"info":[{"sub":1},{"sub":[{"sub":",\\"sub\\":"}]}]}}`;
    expect(await check(signed({ alg: 'HS256' }, apart))).toMatchObject({ user: 'sub' });
  });

  test('an encrypted one, with iterations or compression that would cost much', async () => {
    const jwe = await new CompactEncrypt(new TextEncoder().encode(claims)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(new Uint8Array(32));
    const head = encoded(JSON.stringify({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1_000_000_000, p2s: 'AAAA', zip: 'DEF' }));
    for (const token of [jwe, [head, ...jwe.split('.').slice(1)].join('.')]) expect(await check(token)).toBe('malformed');
  });

  test('a signature of zeros (CVE-2022-21449), and one in the wrong form', async () => {
    const text = `${encoded(JSON.stringify({ alg: 'ES256' }))}.${encoded(claims)}`;
    const checker = checkerOf({ publicKey: P256.publicKey }, ['ES256']);
    for (const bytes of [Buffer.alloc(64), Buffer.alloc(0), Buffer.alloc(1), sign('sha256', Buffer.from(text), P256.privateKey)]) {
      expect(['signature', 'malformed']).toContain(await checker.check(`${text}.${bytes.toString('base64url')}`));
    }
    expect(await checker.check(`${text}.${signature(P256.privateKey, text)}`)).toMatchObject({ user: 'bob' });
  });

  test('names that every object has', async () => {
    const exp = seconds() + 60;
    expect(await check(signed({ alg: 'HS256' }, `{"__proto__":{"sub":"eve","busgate":{"join":[">"]}},"exp":${exp}}`))).toMatchObject({
      user: undefined,
      join: [],
    });
    expect(await check(signed({ alg: 'HS256' }, `{"constructor":{"prototype":{"join":[">"]}},"exp":${exp}}`))).toMatchObject({ join: [] });
    expect(({} as { join?: unknown }).join).toBeUndefined();
  });
});

function signature(key: KeyObject, text: string): string {
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}
