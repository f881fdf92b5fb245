import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimsOf, seconds } from '../../../packages/gateway/test/support/tokens.ts';
import { requireBinary } from '../../support/binaries.ts';
import { type GatewayProcess, startGateway } from '../../support/processes.ts';
import { SettableClock } from '../support/clock.ts';
import { outputOf } from '../support/commands.ts';
import { PythonEnvironment } from '../support/python.ts';

const HERE = import.meta.dirname;
const PREPARE_MS = 600_000;
const SECRET = 's'.repeat(64);
/** Every algorithm that the gateway and both libraries know, by its kind of key. */
const BY_KEY = {
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  p256: ['ES256'],
  p384: ['ES384'],
  p521: ['ES512'],
  ed: ['EdDSA'],
} as const;
const MACS = ['HS256', 'HS384', 'HS512'] as const;
const SIGNATURES = Object.values(BY_KEY).flat();

function makeKeys(): Readonly<Record<keyof typeof BY_KEY, { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>> {
  return {
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    ed: generateKeyPairSync('ed25519'),
  };
}

const KEYS = makeKeys();
/** Of the same kinds, and of nobody that the gateway believes. */
const FOREIGN = makeKeys();

interface Order {
  readonly alg: string;
  readonly kid: string;
  /** PEM, or a secret. */
  readonly key: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

function ordersBy(keys: typeof KEYS, secret: string, claims = claimsOf()): readonly Order[] {
  const signed = Object.entries(BY_KEY).flatMap(([kid, algorithms]) =>
    algorithms.map((alg) => ({ alg, kid, key: keys[kid as keyof typeof BY_KEY].privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), claims })),
  );
  return [...signed, ...MACS.map((alg) => ({ alg, kid: 'secret', key: secret, claims }))];
}

let folder: string;
let python: PythonEnvironment;
let issuer: Server;
let signatures: GatewayProcess;
let macs: GatewayProcess;

/** Programs that sign, each with another library. */
const SIGNERS: readonly { readonly name: string; readonly command: () => readonly [string, ...string[]] }[] = [
  { name: 'PyJWT', command: () => [python.command('python'), join(HERE, 'make.py')] },
  { name: 'jwx', command: () => [join(folder, 'make')] },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-tokens-'));
  python = await PythonEnvironment.with('pyjwt[crypto]~=2.10');
  await outputOf(await requireBinary('go', '', 'golang-go'), ['build', '-o', join(folder, 'make'), '.'], { cwd: join(HERE, 'jwx') });
  const published = Object.entries(KEYS).map(([kid, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' }));
  issuer = createServer((_, response) => void response.end(JSON.stringify({ keys: published }))).listen(0, '127.0.0.1');
  await once(issuer, 'listening');
  const jwks = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`;
  signatures = await startGateway({ args: ['--demo', '--auth-jwt', JSON.stringify({ jwks, algorithms: SIGNATURES })] });
  macs = await startGateway({ args: ['--demo', '--auth-jwt', JSON.stringify({ key: SECRET, algorithms: MACS })] });
}, PREPARE_MS);

afterAll(async () => {
  for (const one of [signatures, macs, python]) await one?.[Symbol.asyncDispose]();
  issuer?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The tokens that a program makes, in the order of `orders`. */
async function make([command, ...args]: readonly [string, ...string[]], orders: readonly Order[]): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = execFile(command, args, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  child.stdin?.end(JSON.stringify(orders));
  return (await promise).trimEnd().split('\n');
}

async function posting(gateway: GatewayProcess, token: string): Promise<number> {
  const response = await fetch(gateway.http('/room/a'), { method: 'POST', body: 'x', headers: { Authorization: `Bearer ${token}` } });
  return response.status;
}

/** Each algorithm, with the status that its token was answered with. */
async function answersTo(orders: readonly Order[], tokens: readonly string[]): Promise<readonly string[]> {
  const gatewayFor = (alg: string): GatewayProcess => (alg.startsWith('HS') ? macs : signatures);
  return await Promise.all(orders.map(async ({ alg }, index) => `${alg} ${await posting(gatewayFor(alg), tokens[index] ?? '')}`));
}

describe.each(SIGNERS)('tokens that $name makes', ({ command }) => {
  test('are taken with every algorithm that both sides know, and those that somebody else has signed are not', async () => {
    const [own, foreign] = [ordersBy(KEYS, SECRET), ordersBy(FOREIGN, 'o'.repeat(64))];
    const algorithms = [...SIGNATURES, ...MACS];
    expect(await answersTo(own, await make(command(), own))).toEqual(algorithms.map((alg) => `${alg} 202`));
    expect(await answersTo(foreign, await make(command(), foreign))).toEqual(algorithms.map((alg) => `${alg} 401`));
  });

  test('attack 81: hold from the second of their nbf on until that of their exp, by the clock of the gateway', async () => {
    await using clock = await SettableClock.make();
    await using gateway = await startGateway({
      args: ['--demo', '--auth-jwt', JSON.stringify({ key: SECRET, algorithms: ['HS256'], leeway: '0s' })],
      env: clock.env,
    });
    const [nbf, exp] = [seconds() + 86_400, seconds() + 90_000];
    const [token = ''] = await make(command(), [{ alg: 'HS256', kid: 'a', key: SECRET, claims: claimsOf({ nbf, exp }) }]);
    const answers: number[] = [];
    for (const at of [nbf - 1, nbf, exp - 1, exp, exp - 1]) {
      await clock.stop(at);
      answers.push(await posting(gateway, token));
    }
    expect(answers).toEqual([401, 202, 202, 401, 202]);
  });
});
