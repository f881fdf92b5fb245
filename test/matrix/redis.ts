import { access, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { GenericContainer, Wait, getContainerRuntimeClient } from 'testcontainers';
import { startRedis } from '../support/brokers.ts';
import { redisCli } from '../support/redis-forms.ts';
import { missing, type Row, tally, withPrograms } from './suite.ts';

const IMAGES = ['redis:6.2', 'redis:7.0', 'redis:7.2', 'redis:7.4', 'redis:8', 'valkey/valkey:7.2', 'valkey/valkey:8', 'valkey/valkey:9'];
const READY = /Ready to accept connections/;

/** Rows for the programs named, of everything that the tests do with a Redis, and where Docker answers for images, of the conformance suite. */
export async function redisRows(binaries: readonly string[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const binary of binaries) rows.push(await withPrograms((folder) => tryBinary(binary, folder)).catch((error: unknown) => missing(binary, error)));
  const docker = await getContainerRuntimeClient().catch(() => undefined);
  for (const image of docker === undefined ? [] : IMAGES) rows.push(await tryImage(image).catch((error: unknown) => missing(image, error)));
  return rows;
}

/** Standalone with its faults, Cluster and Sentinel, each started from this program. */
async function tryBinary(binary: string, folder: string): Promise<Row> {
  await access(binary);
  await symlink(resolve(binary), join(folder, 'redis-server'));
  await using redis = await startRedis();
  const version = await versionOf(redis.port);
  const standalone = await tally('conformance', ['packages/layer-redis'], { REDIS_URL: redis.url });
  const forms = await tally('outside', ['test/outside/redis/cluster.test.ts', 'test/outside/redis/sentinel.test.ts']);
  return { server: binary, outcome: `${version} | standalone ${standalone}, Cluster and Sentinel ${forms}` };
}

async function tryImage(image: string): Promise<Row> {
  const container = await new GenericContainer(image).withExposedPorts(6379).withWaitStrategy(Wait.forLogMessage(READY)).start();
  try {
    const port = container.getMappedPort(6379);
    const suite = await tally('conformance', ['packages/layer-redis/test/standalone.conformance.test.ts'], { REDIS_URL: `redis://127.0.0.1:${port}` });
    return { server: image, outcome: `${await versionOf(port)} | conformance ${suite}` };
  } finally {
    await container.stop();
  }
}

async function versionOf(port: number): Promise<string> {
  const info = await redisCli(port, 'INFO', 'server');
  return /valkey_version:(\S+)/.exec(info)?.[1] ?? /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown';
}
