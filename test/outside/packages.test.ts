import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { startNats, startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { GatewayProcess } from '../support/processes.ts';
import { outputOf } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

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
/** The program of each Node, by its version: the oldest that the packages promise, and the newest that there is. */
const nodes = new Map<string, string>();
const OLDEST = '20.3.0';
const OLDEST_FOR_GATEWAYS = '24.0.0';
const NEWEST = 'latest';

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'busgate-packages-'));
  await run('npm', ['run', 'build'], { cwd: ROOT });
  const folders = await builtPackages();
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project, ...folders.map((folder) => `./${folder}`)], { cwd: ROOT });
  packed = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  await run('npm', ['install', '--no-audit', '--no-fund', ...packed.map(({ filename }) => `./${filename}`)], { cwd: project });
  await Promise.all(
    [OLDEST, OLDEST_FOR_GATEWAYS, NEWEST].map(async (version) => {
      const folder = join(project, 'nodes', version);
      await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, `node@${version}`], { cwd: project });
      nodes.set(version, join(folder, 'node_modules/node/bin/node'));
    }),
  );
});

afterAll(() => rm(project, { recursive: true, force: true }));

/** The folders of the packages that `npm run build` builds. */
async function builtPackages(): Promise<string[]> {
  const { references } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { references: { path: string }[] };
  return references.map(({ path }) => path);
}

/** Runs a module in the project, and returns what it printed. */
async function runModule(source: string, env: Record<string, string> = {}, node = process.execPath): Promise<string> {
  const { stdout } = await run(node, ['--input-type=module', '-e', source], { cwd: project, env: { ...process.env, ...env } });
  return stdout.trim();
}

const ROUND_TRIP = `
  import { openLayer } from '@busgate/layer';
  const layer = await openLayer(process.env.LAYER);
  const arrived = new Promise((resolve) => void layer.subscribe('room', resolve).then(() => layer.publish('room', 'hello')));
  await layer.send('work', { n: 1 });
  if ((await layer.receive('work')).n !== 1) throw new Error('not what was sent');
  console.log(Buffer.from((await arrived).payload).toString());
  await layer.close();
`;

/** What the client's first minute does, from both ends. A Node without a WebSocket of its own is given one. */
const CONVERSATION = `
  import { connect } from '@busgate/client';
  const bus = connect(process.env.GATEWAY, globalThis.WebSocket ? {} : { WebSocket: (await import('ws')).WebSocket });
  const room = bus.join('chat.1');
  await room.publish({ text: 'hello' });
  for await (const message of room) {
    console.log(message.data.text);
    break;
  }
  bus.close();
`;

/** The command, as npm has put it there. */
function command(): string {
  return join(project, 'node_modules/.bin/busgate');
}

/** `busgate serve`, run by this Node. */
async function serve(node: string, ...args: readonly string[]): Promise<GatewayProcess> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const child = new Child(node, [command(), 'serve', '--port', `${port}`, '--ops-port', `${opsPort}`, ...args], { cwd: project });
  const gateway = new GatewayProcess(child, port, opsPort);
  await gateway.answers('/readyz');
  return gateway;
}

function nodeOf(version: string): string {
  return nodes.get(version) ?? '';
}

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
      const [, node = 'none'] = /^>=([\d.]+)$/.exec(said.engines.node) ?? [];
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

describe.each([OLDEST, NEWEST])('installed so, on Node %s', (version) => {
  test('layers carry a message, in memory and over each broker', async () => {
    await using redis = await startRedis();
    await using nats = await startNats();
    for (const LAYER of ['memory:', redis.url, nats.url]) expect(await runModule(ROUND_TRIP, { LAYER }, nodeOf(version))).toBe('hello');
  });

  test('the client joins, publishes and hears', async () => {
    await using gateway = await serve(nodeOf(NEWEST), '--demo');
    expect(await runModule(CONVERSATION, { GATEWAY: gateway.http('/socket') }, nodeOf(version))).toBe('hello');
  });
});

/** A worker that answers with what it was asked. */
const WORKER = `
  import { http, router } from '@busgate/consumer';
  export default router({ '/app': http((request) => new Response('heard ' + new URL(request.url).searchParams.get('message'))) });
`;

describe.each([OLDEST_FOR_GATEWAYS, NEWEST])('the gateway, installed so, on Node %s', (version) => {
  test('serves on a broker, has a worker of its own beside it, and both end in order', async () => {
    await using redis = await startRedis();
    await writeFile(join(project, 'worker.js'), WORKER);
    await using gateway = await serve(
      nodeOf(version),
      '--layer',
      redis.url,
      '--drain-notice',
      '0s',
      '--routes',
      '[{path: /app, kind: events, queue: app, http: true}]',
    );
    await using worker = new Child(nodeOf(version), [command(), 'work', 'worker.js', '--layer', redis.url, '--queue', 'app'], { cwd: project });
    await worker.lines.find((line) => line.includes('working'));
    expect(await (await fetch(gateway.http('/app?message=hello'))).text()).toBe('heard hello');
    worker.signal('SIGTERM');
    expect(await worker.exited).toMatchObject({ code: 0 });
    gateway.signal('SIGTERM');
    expect(await gateway.exited).toMatchObject({ code: 0 });
  });
});

describe('the Python package, as a wheel', () => {
  let wheels: string;
  let wheel: string;
  beforeAll(async () => {
    wheels = await mkdtemp(join(tmpdir(), 'busgate-wheels-'));
    await using builder = await PythonEnvironment.with('pip');
    await outputOf(builder.command('pip'), ['wheel', '--quiet', '--disable-pip-version-check', '--wheel-dir', wheels, `${join(ROOT, 'packages/asgi')}[nats]`]);
    wheel = (await readdir(wheels)).find((name) => name.startsWith('busgate_asgi-')) ?? 'none';
  });
  afterAll(() => rm(wheels, { recursive: true, force: true }));

  test('has the version of all packages, and holds the package with its types and licence and nothing else', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(wheel).toBe(`busgate_asgi-${version}-py3-none-any.whl`);
    await using python = await PythonEnvironment.with('pip');
    const list = `import sys, zipfile; print('\\n'.join(zipfile.ZipFile(sys.argv[1]).namelist()))`;
    const names = (await outputOf(python.command('python'), ['-c', list, join(wheels, wheel)])).trim().split('\n');
    expect(names).toEqual(expect.arrayContaining(['busgate_asgi/__init__.py', 'busgate_asgi/py.typed', `busgate_asgi-${version}.dist-info/licenses/LICENSE`]));
    expect(
      names.filter((name) => !/^busgate_asgi\/[\w/]+\.(?:py|typed)$|^busgate_asgi-[\d.]+\.dist-info\//.test(name) && name !== 'busgate_asgi/py.typed'),
    ).toEqual([]);
  });

  test('does what its first minute says, in an empty environment and at a gateway that was installed', async () => {
    await using redis = await startRedis();
    await using python = await PythonEnvironment.with('--no-index', '--find-links', wheels, 'busgate-asgi[nats]');
    const readme = await readFile(join(ROOT, 'packages/asgi/README.md'), 'utf8');
    const [, code = ''] = /```python\n([^]*?)```/.exec(readme) ?? [];
    await writeFile(join(project, 'hello.py'), code);
    await using gateway = await serve(nodeOf(NEWEST), '--layer', redis.url, '--routes', "[{path: '/app/*', kind: events, queue: app, http: true}]");
    await using worker = new Child(python.command('busgate-asgi'), ['hello:application', '--layer', redis.url, '--queue', 'app'], { cwd: project });
    await using client = await Client.open(gateway.ws('/app/chat'));
    client.send('you');
    await client.until((received) => received.length === 1);
    expect(client.received).toEqual(['hello you']);
    worker.signal('SIGTERM');
    expect(await worker.exited).toMatchObject({ code: 0 });
  });
});
