import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JWT, tokenFor } from '../../../packages/gateway/test/support/tokens.ts';
import { Client } from '../../e2e/clients.ts';
import { startRedis } from '../../support/brokers.ts';
import { Child } from '../../support/child.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess, startGateway } from '../../support/processes.ts';
import { SettableClock } from '../support/clock.ts';

const run = promisify(execFile);
const CLI = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');
/** As much as a few heartbeats. */
const SOME_BEATS_MS = 1500;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-world-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('attack 110: a clock that jumps an hour on, two hours back and two days on cuts off nobody, and nothing stalls; tokens of who comes then go by it', async () => {
  await using clock = await SettableClock.make();
  await using broker = await startRedis();
  const heartbeat = ['--heartbeat-interval', '300ms', '--heartbeat-timeout', '300ms', '--ready-layer-grace', '5s'];
  await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url, '--auth-jwt', JWT, ...heartbeat], env: clock.env });
  const token = tokenFor();
  const known = ['busgate.v1', `busgate.token.${token}`];
  const clients = await Promise.all(Array.from({ length: 10 }, (_, index) => Client.open(gateway.ws('/room/time'), index < 5 ? known : [])));
  const offsets = [
    ['+3600', 401],
    ['-3600', 202],
    ['+172800', 401],
  ] as const;
  for (const [sent, [offset, status]] of offsets.entries()) {
    await clock.move(offset);
    const headers = { Authorization: `Bearer ${token}` };
    expect((await fetch(gateway.http('/room/other'), { method: 'POST', body: 'x', headers })).status).toBe(status);
    await sleep(SOME_BEATS_MS);
    clients[0]?.send(offset);
    await Promise.all(clients.map((client) => client.until((received) => received.length === sent + 1)));
    expect((await fetch(gateway.ops('/readyz'))).status).toBe(200);
  }
  const page = await metricsOf(gateway);
  expect([sumOf(page, 'busgate_closes_total'), sumOf(page, 'busgate_layer_connects_total'), sumOf(page, 'busgate_layer_gaps_total')]).toEqual([0, 1, 0]);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test('attack 117: what a later version says besides is left alone', async () => {
  await using broker = await startRedis();
  await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url] });
  const redis = new Redis(broker.port);
  try {
    const beat = { process: 'later', beat: 1, every: 5000, version: 2, load: { sessions: 1 } };
    await redis.publish('busgate:control:processes', JSON.stringify(beat));
    await expect.poll(() => gateway.metric('busgate_layer_peers')).toBe(1);
    await redis.publish('busgate:control:processes', JSON.stringify({ process: 'later', moved: ['r'] }));
    await expect.poll(() => gateway.metric('busgate_layer_undecodable_total')).toBe(1);
    expect(await gateway.metric('busgate_layer_peers')).toBe(1);
  } finally {
    redis.disconnect();
  }
});

test('attack 119: a broker whose name moves to another address is found there', async () => {
  await using broker = await startRedis();
  const hosts = join(folder, 'hosts');
  await writeFile(hosts, '127.0.0.2 broker.test\n');
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = `mount --bind ${hosts} /etc/hosts && exec "$0" --conditions=@busgate/source ${CLI} serve --demo --port ${port} --ops-port ${opsPort} --layer redis://broker.test:${broker.port}`;
  await using child = new Child('unshare', ['-m', 'sh', '-c', serve, process.execPath]);
  const gateway = new GatewayProcess(child, port, opsPort);
  await gateway.answers('/healthz');
  expect((await fetch(gateway.ops('/readyz'))).status).toBe(503);
  await writeFile(hosts, '127.0.0.1 broker.test\n');
  await gateway.answers('/readyz');
});

test.each([
  ['of another name', 'DNS:elsewhere.test', '+0', /altnames|does not match/],
  ['that has expired', 'IP:127.0.0.1', '+10d', /expired/],
])('attack 120: a broker with a certificate %s is away, and why is said; nothing goes there without TLS', async (_, name, offset, reason) => {
  await using clock = await SettableClock.make();
  const [key, cert, port] = [join(folder, 'key.pem'), join(folder, 'cert.pem'), await freePort()];
  const subject = ['-subj', '/CN=busgate test', '-addext', `subjectAltName=${name}`, '-days', '2', '-nodes'];
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-keyout', key, '-out', cert, ...subject]);
  await using _broker = await startRedis({
    config: [`tls-port ${port}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${cert}`, 'tls-auth-clients no'],
  });
  await clock.move(offset);
  const layer = `rediss://127.0.0.1:${port}?ca=${encodeURIComponent(cert)}`;
  await using gateway = await startGateway({ args: ['--demo', '--layer', layer], env: clock.env, until: 'alive' });
  await gateway.lines.find((line) => reason.test(line), 'the reason');
  expect((await fetch(gateway.ops('/readyz'))).status).toBe(503);
});
