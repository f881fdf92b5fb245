import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../../../packages/layer-redis/test/support.ts';
import { requireBinary } from '../../support/binaries.ts';
import { type Broker, startRedis } from '../../support/brokers.ts';
import { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { redisCli } from '../../support/redis-forms.ts';

const run = promisify(execFile);
let folder: string;
let cert: string;
let files: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-tls-'));
  cert = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  const subject = ['-subj', '/CN=busgate test', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-keyout', key, '-out', cert, ...subject]);
  files = [`tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${cert}`, 'tls-auth-clients no'];
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A server that speaks TLS on `port`; another one is chosen where that, or the one of its cluster bus, is taken. */
async function startTls(config: readonly string[]): Promise<{ server: Broker; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { server: await startRedis({ config: [...config, ...files, `tls-port ${port}`] }), port };
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

/** A room and a queue work there, and nowhere without the authority. */
async function expectToWork(url: string): Promise<void> {
  await using layer = await openLayer(`${url}?ca=${encodeURIComponent(cert)}`);
  for (const room of ['a', 'b', 'c', 'd']) {
    const events = await listen(layer, room);
    await layer.publish(room, `secret of ${room}`);
    expect(await events.next()).toBe(`secret of ${room}`);
    await layer.send(`jobs.${room}`, { room });
    expect(await layer.receive(`jobs.${room}`)).toEqual({ room });
  }
  await using doubtful = await openLayer(url);
  expect(doubtful.status).toMatchObject({ state: 'away', reason: expect.stringContaining('self-signed') });
}

describe('Redis over TLS', () => {
  test('a cluster', async () => {
    const cluster = ['cluster-enabled yes', 'cluster-config-file nodes.conf', 'cluster-node-timeout 600000', 'tls-cluster yes'];
    await using nodes = new AsyncDisposableStack();
    const ports: number[] = [];
    const servers: Broker[] = [];
    for (let count = 0; count < 3; count += 1) {
      const { server, port } = await startTls(cluster);
      servers.push(nodes.use(server));
      ports.push(port);
    }
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    await run('redis-cli', ['--tls', '--cacert', cert, '--cluster', 'create', ...addresses, '--cluster-yes']);
    for (const { port } of servers) await expect.poll(() => redisCli(port, 'CLUSTER', 'INFO')).toContain('cluster_state:ok');
    await expectToWork(`rediss-cluster://${addresses[0]}`);
  });

  test('a primary that a sentinel names', async () => {
    const primary = await startTls(['tls-replication yes']);
    await using _server = primary.server;
    const sentinelPort = await freePort();
    const config = join(folder, 'sentinel.conf');
    const lines = [
      'port 0',
      `tls-port ${sentinelPort}`,
      'tls-replication yes',
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor mymaster 127.0.0.1 ${primary.port} 1`,
    ];
    await writeFile(config, `${[...lines, ...files].join('\n')}\n`);
    await using sentinel = new Child(await requireBinary('redis-server'), [config, '--sentinel']);
    await sentinel.lines.find((line) => line.includes('+monitor master mymaster'));
    await expectToWork(`rediss-sentinel://127.0.0.1:${sentinelPort}/mymaster`);
  });
});
