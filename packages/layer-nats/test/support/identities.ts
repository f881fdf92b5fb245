import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nkeys } from 'nats';

const run = promisify(execFile);
type KeyPair = ReturnType<typeof nkeys.createUser>;

/** What a server in operator mode is configured with, and one user's credentials file. */
export interface Operator {
  readonly config: string[];
  readonly creds: string;
}

/** An operator with one account that has JetStream, as `nsc` would make them. */
export function makeOperator(): Operator {
  const [operator, system, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount(), nkeys.createUser()];
  const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const store = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const accounts = [
    [system, sign(operator, system, 'SYS', { type: 'account', limits })],
    [account, sign(operator, account, 'A', { type: 'account', limits: { ...limits, ...store } })],
  ] as const;
  const seed = Buffer.from(user.getSeed()).toString();
  const jwt = sign(account, user, 'U', { type: 'user', subs: -1, data: -1, payload: -1 });
  return {
    config: [
      `operator: ${sign(operator, operator, 'O', { type: 'operator' })}`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      `resolver_preload: { ${accounts.map(([keys, token]) => `${keys.getPublicKey()}: "${token}"`).join(', ')} }`,
    ],
    creds: `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
  };
}

function sign(issuer: KeyPair, subject: KeyPair, name: string, nats: Record<string, unknown>): string {
  const claims = { iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats: { version: 2, ...nats } };
  const jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const body = [
    { typ: 'JWT', alg: 'ed25519-nkey' },
    { jti, ...claims },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`;
}

/** PEM files of an authority of its own, a server's certificate for `localhost` and 127.0.0.1, and a client's. */
export async function makeCertificates(folder: string): Promise<{ ca: string; cert: string; key: string; clientCert: string; clientKey: string }> {
  const at = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await run('openssl', ['req', '-x509', ...key, '-subj', '/CN=busgate test authority', '-keyout', at('ca.key'), '-out', at('ca.pem')]);
  for (const name of ['server', 'client']) {
    const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE'];
    const files = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)];
    await run('openssl', ['req', '-x509', ...key, '-subj', `/CN=${name}`, ...names, ...files]);
  }
  return { ca: at('ca.pem'), cert: at('server.pem'), key: at('server.key'), clientCert: at('client.pem'), clientKey: at('client.key') };
}
