/**
 * `npm run test:matrix [-- --binary <redis-server or valkey-server> …]`: the Redis layer's conformance suite on other servers, and the NATS layer's on
 * newer ones, which Go builds; prints the tables of docs/compat.md.
 */
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { GenericContainer, Wait, getContainerRuntimeClient } from 'testcontainers';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { redisCli } from '../support/redis-forms.ts';
import { natsRows } from './nats.ts';

const IMAGES = ['redis:6.2', 'redis:7.0', 'redis:7.2', 'redis:7.4', 'redis:8', 'valkey/valkey:7.2', 'valkey/valkey:8', 'valkey/valkey:9'];
const READY = /Ready to accept connections/;
const run = promisify(execFile);

interface Server extends AsyncDisposable {
  readonly port: number;
}

/** The outcome of the suite on one server. */
interface Row {
  readonly server: string;
  readonly outcome: string;
}

const { values } = parseArgs({ options: { binary: { type: 'string', multiple: true, default: [] } } });
const rows: Row[] = [];
for (const binary of values.binary) rows.push(await attempt(binary, () => startBinary(binary)));
const docker = await getContainerRuntimeClient().catch(() => undefined);
for (const image of docker === undefined ? [] : IMAGES) rows.push(await attempt(image, () => startImage(image)));
rows.push(...(await natsRows()));
if (rows.length === 0) throw new Error('nothing to try: start Docker, install Go, or name servers with --binary');
console.log('\n| server | version | conformance | when |\n| --- | --- | --- | --- |');
for (const { server, outcome } of rows) console.log(`| ${server} | ${outcome} | ${new Date().toISOString().slice(0, 10)} |`);

async function attempt(server: string, start: () => Promise<Server>): Promise<Row> {
  try {
    await using started = await start();
    const info = await redisCli(started.port, 'INFO', 'server');
    const version = /valkey_version:(\S+)/.exec(info)?.[1] ?? /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown';
    return { server, outcome: `${version} | ${await conformance(started.port)}` };
  } catch (error) {
    return { server, outcome: `- | not to be had: ${String(error).split('\n')[0]}` };
  }
}

async function conformance(port: number): Promise<string> {
  const tests = ['run', '--project', 'conformance', 'packages/layer-redis/test/standalone.conformance.test.ts'];
  const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${port}`, NO_COLOR: '1' };
  const { stdout } = await run(process.execPath, ['node_modules/vitest/vitest.mjs', ...tests], { env }).catch((error: { stdout: string }) => error);
  console.log(stdout);
  return /Tests\s+(.*)/.exec(stdout)?.[1] ?? 'did not run';
}

async function startBinary(binary: string): Promise<Server> {
  const port = await freePort();
  const child = new Child(binary, ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']);
  await child.lines.find((line) => READY.test(line), 'a server that is ready');
  return { port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

async function startImage(image: string): Promise<Server> {
  const container = await new GenericContainer(image).withExposedPorts(6379).withWaitStrategy(Wait.forLogMessage(READY)).start();
  return {
    port: container.getMappedPort(6379),
    async [Symbol.asyncDispose]() {
      await container.stop();
    },
  };
}
