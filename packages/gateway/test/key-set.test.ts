import { generateKeyPairSync } from 'node:crypto';
import { type JWK, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { JwtChecker } from '../src/auth/jwt.ts';
import { KeySet } from '../src/auth/key-set.ts';

/** An issuer that publishes the keys that the test gives it, and a clock that the test turns. */
class Issuer implements AsyncDisposable {
  readonly #private = new Map<string, ReturnType<typeof generateKeyPairSync>['privateKey']>();
  /** What it answers; undefined: nothing. */
  published: { keys: JWK[] } | undefined = { keys: [] };
  fetches = 0;
  failures = 0;
  time = 0;
  /** When the next fetch is due by itself. */
  dueAt = Infinity;
  #due: () => void = () => undefined;
  #answered: Promise<void> = Promise.resolve();
  readonly keys: KeySet;
  readonly checker: JwtChecker;

  constructor(...kids: string[]) {
    this.rotate(...kids);
    this.keys = new KeySet({
      fetch: async () => {
        this.fetches += 1;
        await this.#answered;
        if (this.published === undefined) throw new Error('it is away');
        return this.published;
      },
      failed: () => void (this.failures += 1),
      now: () => this.time,
      after: (ms, step) => {
        this.dueAt = this.time + ms;
        this.#due = step;
        return () => void (this.dueAt = Infinity);
      },
    });
    const settings = { keys: { jwks: 'http://id.example/' }, issuer: undefined, audience: [], algorithms: ['ES256'] as const, leeway: 0, maxAge: undefined };
    this.checker = new JwtChecker({ settings, keys: this.keys, now: Date.now });
  }

  /** From now on these are its keys. */
  rotate(...kids: string[]): void {
    this.published = { keys: kids.map((kid) => this.#keyOf(kid)) };
  }

  /** Its answers wait until the function that this answers is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered = promise;
    return resolve;
  }

  async check(kid: string | undefined, key = kid ?? ''): Promise<unknown> {
    if (!this.#private.has(key)) this.#keyOf(key);
    const head = { alg: 'ES256', ...(kid === undefined ? {} : { kid }) };
    const token = await new SignJWT({ sub: kid ?? 'nobody' })
      .setProtectedHeader(head)
      .setExpirationTime('1h')
      .sign(this.#private.get(key) ?? new Uint8Array());
    const answer = await this.checker.check(token);
    return typeof answer === 'string' ? answer : answer.user;
  }

  /** The time of the next fetch has come; resolves when it is done. */
  async turn(): Promise<void> {
    await this.#planned();
    this.time = this.dueAt;
    this.dueAt = Infinity;
    this.#due();
    await this.#planned();
  }

  async #planned(): Promise<void> {
    while (this.dueAt === Infinity) await new Promise(setImmediate);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.checker.close();
  }

  #keyOf(kid: string): JWK {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#private.set(kid, privateKey);
    return { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' } as JWK;
  }
}

describe('the keys of an issuer', () => {
  test('are fetched once, whoever asks meanwhile, and again before they grow old, without anybody’s asking', async () => {
    await using issuer = new Issuer('a');
    expect(await Promise.all(Array.from({ length: 20 }, () => issuer.check('a')))).toEqual(Array.from({ length: 20 }, () => 'a'));
    expect(issuer.fetches).toBe(1);
    expect(issuer.dueAt).toBeLessThanOrEqual(300_000);
    await issuer.turn();
    await issuer.turn();
    expect(issuer.fetches).toBe(3);
  });

  test('stay good for as long as its server is down (attack 83), which is told once and asked each 5 s', async () => {
    await using issuer = new Issuer('a');
    expect(await issuer.check('a')).toBe('a');
    issuer.published = undefined;
    for (let turn = 0; turn < 200; turn += 1) await issuer.turn();
    expect(issuer.time).toBeGreaterThan(900_000);
    expect(await issuer.check('a')).toBe('a');
    expect(issuer.failures).toBe(1);
    const { fetches } = issuer;
    await Promise.all(Array.from({ length: 20 }, () => issuer.check('a')));
    expect(issuer.fetches).toBe(fetches);
  });

  test('a key that is not among them is asked for at once, and then each 5 s at the most', async () => {
    await using issuer = new Issuer('a');
    expect(await issuer.check('a')).toBe('a');
    issuer.time += 5000;
    expect(await Promise.all([issuer.check('x'), issuer.check('y'), issuer.check('a')])).toEqual(['unknown_key', 'unknown_key', 'a']);
    expect(issuer.fetches).toBe(2);
    issuer.time += 4999;
    expect(await issuer.check('x')).toBe('unknown_key');
    expect(issuer.fetches).toBe(2);
    issuer.time += 1;
    issuer.rotate('a', 'b');
    expect(await issuer.check('b')).toBe('b');
    expect(issuer.fetches).toBe(3);
  });

  test('a key that is taken out is no longer good', async () => {
    await using issuer = new Issuer('a', 'b');
    expect(await issuer.check('a')).toBe('a');
    const { published } = issuer;
    issuer.published = { keys: published?.keys.filter(({ kid }) => kid !== 'a') ?? [] };
    await issuer.turn();
    expect([await issuer.check('a'), await issuer.check('b')]).toEqual(['unknown_key', 'b']);
  });

  test('nobody can tell while none is known, or a new one is asked for in vain; then everybody can', async () => {
    await using issuer = new Issuer('a');
    issuer.published = undefined;
    expect(await issuer.check('x')).toBe('away');
    expect([await issuer.check('a'), issuer.fetches]).toEqual(['away', 1]);
    issuer.rotate('b');
    issuer.time += 5000;
    expect(await issuer.check('b')).toBe('b');
    issuer.published = undefined;
    issuer.time += 5000;
    expect([await issuer.check('c'), await issuer.check('b')]).toEqual(['away', 'b']);
  });

  test('a slow answer is waited for by all together', async () => {
    await using issuer = new Issuer('a');
    await issuer.check('a');
    const release = issuer.hold();
    issuer.time += 5000;
    const asked = [issuer.check('x'), issuer.check('y')];
    expect(await issuer.check('a')).toBe('a');
    release();
    expect(await Promise.all(asked)).toEqual(['unknown_key', 'unknown_key']);
    expect(issuer.fetches).toBe(2);
  });

  test('what is no set of keys is as no answer', async () => {
    for (const published of [null, [], 'x', {}, { keys: 'x' }, { keys: [null] }] as unknown as { keys: JWK[] }[]) {
      await using issuer = new Issuer('a');
      await issuer.check('a');
      issuer.published = published;
      await issuer.turn();
      expect(await issuer.check('a')).toBe('a');
    }
  });

  test('a token that names no key is tried with those that fit', async () => {
    await using issuer = new Issuer('a', 'b');
    expect([await issuer.check(undefined, 'a'), await issuer.check(undefined, 'b'), await issuer.check(undefined, 'c')]).toEqual([
      'nobody',
      'nobody',
      'signature',
    ]);
  });

  test('a key is used for nothing but what the issuer says, and a secret in the set for nothing', async () => {
    await using issuer = new Issuer('a');
    const [key] = issuer.published?.keys ?? [];
    for (const change of [{ use: 'enc' }, { alg: 'ES384' }, { key_ops: ['sign'] }, { kty: 'oct', k: 'AAAA' }]) {
      issuer.published = { keys: [{ ...key, ...change } as JWK] };
      await issuer.turn();
      expect(await issuer.check('a')).toBe('unknown_key');
    }
  });
});
