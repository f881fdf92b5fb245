import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { requireBinary } from '../support/binaries.ts';
import { startRedis } from '../support/brokers.ts';
import { startGateway } from '../support/processes.ts';
import { outputOf, ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const GUIDE = join(ROOT, 'docs/guides/publishing.md');
const INSTALL = join(ROOT, 'test/support/install.sh');
const PREPARE_MS = 600_000;
const ROUTES = '[{path: /socket, kind: multiplex, join: anyone, publish: nobody}]';
const HISTORY = '[{rooms: kept, size: 100, age: 5m}]';

/** A program of the guide: in its file, and how that is run. */
interface Recipe {
  readonly language: string;
  readonly file: string;
  readonly command: (file: string) => readonly [string, readonly string[]];
}

let folder: string;
let python: PythonEnvironment;

const RECIPES: readonly Recipe[] = [
  { language: 'sh', file: 'publish.sh', command: (file) => ['sh', ['-e', file]] },
  { language: 'js', file: 'publish.mjs', command: (file) => [process.execPath, [file]] },
  { language: 'python', file: 'publish.py', command: (file) => [python.command('python'), [file]] },
  { language: 'go', file: 'main.go', command: (file) => ['go', ['run', file]] },
  { language: 'php', file: 'publish.php', command: (file) => ['php', [file]] },
  { language: 'ruby', file: 'publish.rb', command: (file) => ['ruby', [file]] },
];

beforeAll(async () => {
  // Below the checkout, where a program in JavaScript finds ioredis.
  await mkdir(join(ROOT, 'node_modules/.cache'), { recursive: true });
  folder = await mkdtemp(join(ROOT, 'node_modules/.cache/publishing-'));
  python = await PythonEnvironment.with('redis==8.1.0');
  await requireBinary('go', '', 'golang-go');
  await requireBinary('redis-cli', '', 'redis-tools');
  await outputOf('bash', [INSTALL, 'php-cli', 'php-redis', 'ruby', 'ruby-redis']);
}, PREPARE_MS);

afterAll(async () => {
  await python[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe('publishing as the guide has it', () => {
  test('is told for these languages and no other', async () => {
    expect([...(await programs()).keys()]).toEqual(RECIPES.map(({ language }) => language));
  });

  test.each(RECIPES)('in $language reaches a client live, and appends to a history', async ({ language, file, command }) => {
    await using redis = await startRedis();
    await using gateway = await startGateway({ args: ['--layer', redis.url, '--routes', ROUTES, '--history', HISTORY] });
    await using client = await Client.open(gateway.ws('/socket'), ['busgate.v1']);
    const heard = (type: string): Record<string, unknown>[] =>
      client.received.map((frame) => JSON.parse(String(frame)) as Record<string, unknown>).filter((frame) => frame['type'] === type);
    for (const room of ['news', 'kept']) client.socket.send(JSON.stringify({ type: 'join', room }));
    await expect.poll(() => heard('joined')).toHaveLength(2);
    const printed = await run(`${(await programs()).get(language)}`.replaceAll('localhost:6379', `127.0.0.1:${redis.port}`), redis.port, file, command);
    await expect.poll(() => heard('message')).toHaveLength(2);
    expect(heard('message')).toMatchObject([
      { room: 'news', text: 'hello' },
      { room: 'kept', text: 'hello', position: printed.trim().split('\n').at(-1) },
    ]);
  });
});

/** The programs of the guide, by their language. */
async function programs(): Promise<ReadonlyMap<string, string>> {
  const blocks = (await readFile(GUIDE, 'utf8')).matchAll(/^```(\w+)\n(.*?)^```$/gms);
  return new Map(Array.from(blocks, ([, language = '', text = '']) => [language, text]));
}

/** What a program printed. */
async function run(text: string, port: number, file: string, command: Recipe['command']): Promise<string> {
  const place = await mkdtemp(join(folder, 'run-'));
  await writeFile(join(place, file), text.replaceAll("'localhost', 6379", `'127.0.0.1', ${port}`).replaceAll('redis-cli ', `redis-cli -p ${port} `));
  if (file === 'main.go') for (const part of ['go.mod', 'go.sum']) await writeFile(join(place, part), await readFile(join(ROOT, 'examples/workers/go', part)));
  const [program, args] = command(join(place, file));
  return outputOf(program, args, { cwd: place });
}
