import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats, startRedis } from '../support/brokers.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const TSC = join(ROOT, 'node_modules/.bin/tsc');

interface Packed {
  readonly name: string;
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** An empty project, outside the checkout, into which the packages are installed as a user would. */
let project: string;
let packed: Packed[];

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'busgate-packages-'));
  await run('npm', ['run', 'build'], { cwd: ROOT });
  const folders = await builtPackages();
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project, ...folders.map((folder) => `./${folder}`)], { cwd: ROOT });
  packed = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  await run('npm', ['install', '--no-audit', '--no-fund', ...packed.map(({ filename }) => `./${filename}`)], { cwd: project });
});

afterAll(() => rm(project, { recursive: true, force: true }));

/** The folders of the packages that `npm run build` builds. */
async function builtPackages(): Promise<string[]> {
  const { references } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { references: { path: string }[] };
  return references.map(({ path }) => path);
}

/** Runs a module in the project, and returns what it printed. */
async function runModule(source: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', source], { cwd: project, env: { ...process.env, ...env } });
  return stdout.trim();
}

const ROUND_TRIP = `
  import { openLayer } from '@busgate/layer';
  const layer = await openLayer(process.env.LAYER);
  const arrived = Promise.withResolvers();
  await layer.subscribe('room', arrived.resolve);
  await layer.publish('room', 'hello');
  console.log(Buffer.from((await arrived.promise).payload).toString());
  await layer.close();
`;

describe('the packages, installed from their tarballs', () => {
  test('hold what is built, its sources, licence and nothing else', () => {
    expect(packed.length).toBeGreaterThan(0);
    for (const { name, files } of packed) {
      const paths = files.map(({ path }) => path);
      expect(paths, name).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts']));
      expect(
        paths.filter((path) => !/^(package\.json|LICENSE|README\.md|bin\/busgate\.js|(dist|src)\/[^.].*)$/.test(path)),
        name,
      ).toEqual([]);
    }
  });

  test('say where they come from, what they need, and that they are published with provenance', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    for (const folder of await builtPackages()) {
      const said = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Record<string, unknown> & { engines: { node: string } };
      expect(said, folder).toMatchObject({
        version,
        license: 'MIT',
        repository: { type: 'git', url: 'git+https://github.com/busgate/busgate.git', directory: folder.replace('./', '') },
        homepage: expect.stringMatching(/#readme$/),
        bugs: expect.any(String),
        keywords: expect.arrayContaining([expect.any(String)]),
        exports: expect.any(Object),
        publishConfig: { access: 'public', provenance: true },
      });
      const [, node = 'none'] = /^>=(\d+)$/.exec(said.engines.node) ?? [];
      expect(await readFile(join(ROOT, folder, 'README.md'), 'utf8'), folder).toMatch(new RegExp(`Node ${node} and later`));
    }
  });

  test.each(['layer', 'layer-redis', 'layer-nats'])('%s does what its first minute says', async (name) => {
    await using redis = await startRedis();
    await using nats = await startNats();
    const [, code = ''] = /```js\n([^]*?)```/.exec(await readFile(join(ROOT, 'packages', name, 'README.md'), 'utf8')) ?? [];
    expect(await runModule(code.replace('redis://localhost:6379', redis.url).replace('nats://localhost:4222', nats.url))).toBe('hello');
  });

  test('open a layer in memory', async () => {
    expect(await runModule(ROUND_TRIP, { LAYER: 'memory:' })).toBe('hello');
  });

  test('open the layer of a scheme with the driver beside them', async () => {
    await using redis = await startRedis();
    expect(await runModule(ROUND_TRIP, { LAYER: redis.url })).toBe('hello');
  });

  test('have a client that a page with the types of a browser alone compiles against', async () => {
    await writeFile(
      join(project, 'page.ts'),
      `import { BusError, connect, type Message } from '@busgate/client';
       import { connect as share } from '@busgate/client/tabs';
       for (const bus of [connect('/socket', { token: async () => 't' }), share('wss://live.example/socket')]) {
         const room = bus.join<{ readonly text: string }>('chat.1', { last: 20 });
         room.on('gap', ({ after }) => setTimeout(() => location.reload(), after));
         const show = ({ data, bytes }: Message<{ readonly text: string }>): void => document.body.append(data.text, String(bytes.length));
         for await (const message of room) show(message);
         await room.publish({ text: 'hi' }, { idempotent: true }).catch((error: unknown) => error instanceof BusError && error.code);
       }
      `,
    );
    const settings = [
      '--strict',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--target',
      'es2022',
      '--lib',
      'es2023,dom',
      '--noEmit',
      '--types',
      '',
    ];
    const { stdout } = await run(TSC, [...settings, 'page.ts'], { cwd: project });
    expect(stdout).toBe('');
  });

  test('carry types that a strict program compiles against', async () => {
    await writeFile(
      join(project, 'program.ts'),
      `import { openLayer, type ChannelLayer } from '@busgate/layer';
       import type { Driver } from '@busgate/layer/driver';
       export const layer: ChannelLayer = await openLayer('memory:');
       export const position: string | undefined = (await layer.publish('room', 'hello')).position;
       export type { Driver };
      `,
    );
    const settings = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--noEmit',
      '--types',
      'node',
      '--typeRoots',
      join(ROOT, 'node_modules/@types'),
    ];
    const { stdout } = await run(TSC, [...settings, 'program.ts'], { cwd: project });
    expect(stdout).toBe('');
  });
});
