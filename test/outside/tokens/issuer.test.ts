import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Client, MultiplexClient } from '../../e2e/clients.ts';
import { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { type GatewayProcess, startGateway } from '../../support/processes.ts';

const ISSUER = join(import.meta.dirname, 'issuer.mjs');
const LIVE = 'urn:live';
const LIFE_S = 300;
const ROUTES = '[{path: /socket, kind: multiplex, join: token, publish: token}, {path: "/room/:room", kind: room, join: token, publish: token}]';

type PrivateKey = Readonly<Record<string, unknown>>;

function keyNamed(kid: string): PrivateKey {
  return { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' };
}

/** An issuer in a process of its own, on one port for as long as the test lasts, whether it runs or not. */
class Issuer implements AsyncDisposable {
  readonly #port: number;
  #process: Child | undefined;

  private constructor(port: number) {
    this.#port = port;
  }

  static async start(...keys: readonly PrivateKey[]): Promise<Issuer> {
    const issuer = new Issuer(await freePort());
    await issuer.run(...keys);
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** From now on it publishes these keys, and signs with the first. */
  async run(...keys: readonly PrivateKey[]): Promise<void> {
    await this.stop();
    const env = { PORT: `${this.#port}`, KEYS: JSON.stringify(keys), CLIENTS: '["ann", "bob"]', LIFE: `${LIFE_S}` };
    this.#process = new Child(process.execPath, [ISSUER], { env });
    await expect
      .poll(() =>
        fetch(`${this.url}/jwks`).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  }

  /** Nobody answers any more. */
  async stop(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    this.#process = undefined;
  }

  /** A token for one of its clients, by the grant for programs (RFC 6749 section 4.4). */
  async tokenFor(name: string, resource = LIVE): Promise<string> {
    const response = await fetch(`${this.url}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`${name}:${name}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    });
    return ((await response.json()) as { access_token: string }).access_token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function gatewayFor(issuer: Issuer): Promise<GatewayProcess> {
  const jwt = JSON.stringify({ jwks: `${issuer.url}/jwks`, issuer: issuer.url, audience: LIVE, algorithms: ['ES256'] });
  return startGateway({ args: ['--routes', ROUTES, '--auth-jwt', jwt] });
}

async function posting(gateway: GatewayProcess, token: string, room = 'team.7'): Promise<number> {
  const response = await fetch(gateway.http(`/room/${room}`), { method: 'POST', body: 'x', headers: { Authorization: `Bearer ${token}` } });
  return response.status;
}

/** A gateway asks its issuer for a key that it does not know once in 5 s. */
async function becomes(gateway: GatewayProcess, token: string, status: number): Promise<void> {
  await expect.poll(() => posting(gateway, token), { interval: 250 }).toBe(status);
}

describe('an issuer of OpenID Connect', () => {
  test('says who somebody is, what he may and for how long, and what it says for another service counts for nothing', async () => {
    await using issuer = await Issuer.start(keyNamed('a'));
    await using gateway = await gatewayFor(issuer);
    const token = await issuer.tokenFor('ann');
    await using client = await MultiplexClient.open(gateway.ws('/socket'), [`busgate.token.${token}`]);
    expect(client.frames[0]).toMatchObject({ type: 'welcome', expires: expect.toSatisfy((seconds: number) => seconds > LIFE_S - 60 && seconds <= LIFE_S) });
    expect(await client.request({ type: 'join', room: 'team.7' })).toMatchObject({ type: 'joined' });
    expect(await client.request({ type: 'join', room: 'team.8' })).toMatchObject({ type: 'error', code: 'not_allowed' });
    expect([await posting(gateway, token), await posting(gateway, token, 'team.8')]).toEqual([202, 403]);
    await client.until(() => client.messages('team.7').length === 1);
    client.send(JSON.stringify({ type: 'token', token: await issuer.tokenFor('ann') }));
    await client.until(() => client.frames.some(({ type }) => type === 'token'));
    client.send(JSON.stringify({ type: 'token', token: await issuer.tokenFor('bob') }));
    expect((await client.closed).code).toBe(4403);
    expect(await posting(gateway, await issuer.tokenFor('ann', 'urn:other'))).toBe(401);
    expect(await Client.refused(gateway.ws('/room/team.7'))).toBe(401);
  });

  test('changes its keys: the new one is taken as soon as it signs, the old one for as long as it is published', async () => {
    const [a, b, c] = [keyNamed('a'), keyNamed('b'), keyNamed('c')];
    await using issuer = await Issuer.start(a);
    await using gateway = await gatewayFor(issuer);
    const byA = await issuer.tokenFor('ann');
    expect(await posting(gateway, byA)).toBe(202);
    await issuer.run(b, a);
    const byB = await issuer.tokenFor('ann');
    await becomes(gateway, byB, 202);
    expect(await posting(gateway, byA)).toBe(202);
    await issuer.run(c, b);
    await becomes(gateway, await issuer.tokenFor('ann'), 202);
    expect([await posting(gateway, byB), await posting(gateway, byA)]).toEqual([202, 401]);
  });

  test('attack 83: is away: what it has published holds, of a key that is new nobody can tell, and both are served when it is back', async () => {
    const [a, b] = [keyNamed('a'), keyNamed('b')];
    await using issuer = await Issuer.start(b);
    const byB = await issuer.tokenFor('ann');
    await issuer.run(a);
    const byA = await issuer.tokenFor('ann');
    await using before = await gatewayFor(issuer);
    expect(await posting(before, byA)).toBe(202);
    await issuer.stop();
    await using after = await gatewayFor(issuer);
    await becomes(before, byB, 503);
    expect([await posting(before, byA), await posting(after, byA)]).toEqual([202, 503]);
    await issuer.run(b, a);
    for (const gateway of [before, after]) for (const token of [byA, byB]) await becomes(gateway, token, 202);
  });
});
