import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { requireBinary } from '../support/binaries.ts';
import { startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { startGateway } from '../support/processes.ts';
import { outputOf, ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const WORKERS = join(ROOT, 'examples/workers');
const INSTALL = join(ROOT, 'test/support/install.sh');
const PREPARE_MS = 600_000;

/** A worker of the examples, and how it is run on a Redis. */
interface Example {
  readonly language: string;
  readonly command: (redis: { readonly port: number; readonly url: string }) => readonly [string, readonly string[]];
}

let folder: string;
let python: PythonEnvironment;

const EXAMPLES: readonly Example[] = [
  { language: 'Python', command: ({ url }) => [python.command('python'), [join(WORKERS, 'python/worker.py'), url, 'app']] },
  { language: 'Go', command: ({ url }) => [join(folder, 'worker'), [url, 'app']] },
  { language: 'PHP', command: ({ port }) => ['php', [join(WORKERS, 'php/worker.php'), '127.0.0.1', `${port}`, 'app']] },
  { language: 'shell', command: ({ url }) => ['sh', [join(WORKERS, 'shell/worker.sh'), url, 'app']] },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-workers-'));
  python = await PythonEnvironment.with('redis==8.1.0');
  const go = await requireBinary('go', '', 'golang-go');
  await outputOf(go, ['build', '-o', join(folder, 'worker'), '.'], { cwd: join(WORKERS, 'go') });
  await outputOf('bash', [INSTALL, 'php-cli', 'php-redis']);
}, PREPARE_MS);

afterAll(async () => {
  await python[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.each(EXAMPLES)('the worker in $language', ({ command }) => {
  test('answers each frame of each client in order, and is told when one leaves', async () => {
    await using redis = await startRedis();
    const config = join(folder, `${redis.port}.yaml`);
    await writeFile(config, `layer: ${redis.url}\norigins: []\nroutes: [{ path: '/app/*', kind: events, queue: app }]\n`);
    await using gateway = await startGateway({ args: ['--config', config] });
    await using worker = new Child(...command(redis));
    await using one = await Client.open(gateway.ws('/app/one'));
    await using two = await Client.open(gateway.ws('/app/two'));
    const frames = [
      'plain',
      '',
      'ü "quoted" \\ back',
      '{"type":"websocket.close","order":9}',
      Buffer.from([0, 255, 34, 92]),
      Buffer.alloc(0),
      'last,"bytes":{}',
    ];
    for (const client of [one, two]) for (const frame of frames) client.socket.send(frame);
    for (const client of [one, two]) await expect.poll(() => client.received).toEqual(frames);
    one.socket.close(4000);
    await once(one.socket, 'close');
    await worker.lines.find((line) => /^left \S+ 4000$/.test(line));
  });
});
