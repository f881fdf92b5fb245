import { execFile } from 'node:child_process';
import { glob, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FaultProxy } from '../support/fault-proxy.ts';
import { Child } from '../support/child.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

/** Reads a room, and says each message; publishes what it says first itself. A runtime without a WebSocket of its own is given one. */
const PROGRAM = `
  import { connect } from ${JSON.stringify(pathToFileURL(join(ROOT, 'packages/client/dist/index.js')).href)};
  const options = globalThis.WebSocket ? {} : { WebSocket: (await import(${JSON.stringify(pathToFileURL(join(ROOT, 'node_modules/ws/wrapper.mjs')).href)})).WebSocket };
  const bus = connect(process.argv[2], options);
  const room = bus.join('kept.runtime');
  const { position } = await room.publish({ from: 'itself' });
  console.log('published at ' + position.split(':')[1] + ' over ' + bus.transport);
  for await (const { text } of room) {
    console.log(text);
    if (text === 'end') break;
  }
  bus.close();
`;

let folder: string;
let program: string;
/** The command of each runtime. */
const runtimes: Record<string, readonly string[]> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-runtimes-'));
  await run('npm', ['run', 'build'], { cwd: ROOT });
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, 'node@20'], { cwd: folder });
  // The programs are in packages of their own; the scripts of the two that bring them would only copy.
  await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, 'deno', 'bun'], { cwd: folder });
  const binary = async (pattern: string): Promise<string> => {
    for await (const path of glob(pattern, { cwd: join(folder, 'node_modules') })) return join(folder, 'node_modules', path);
    throw new Error(`no ${pattern} was installed`);
  };
  program = join(folder, 'program.mjs');
  await writeFile(program, PROGRAM);
  runtimes['Node 20'] = [join(folder, 'node_modules/node/bin/node')];
  runtimes['Node 24'] = [process.execPath];
  runtimes['Deno'] = [await binary('@deno/*/deno'), 'run', '--allow-all', '--no-lock'];
  runtimes['Bun'] = [await binary('@oven/*/bin/bun')];
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(['Node 20', 'Node 24', 'Deno', 'Bun'])('in %s the client publishes, reads, and comes back after a cut without a loss', async (name) => {
  await using gateway: GatewayProcess = await startGateway({
    args: ['--demo', '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'],
  });
  await using proxy = await FaultProxy.start(gateway.port);
  const publish = (body: string): Promise<Response> => fetch(gateway.http('/room/kept.runtime'), { method: 'POST', body });
  const [command, ...args] = runtimes[name] as readonly [string, ...string[]];
  await using child = new Child(command, [...args, program, `http://127.0.0.1:${proxy.port}/socket`]);
  expect(await child.output.next()).toBe('published at 1 over websocket');
  expect(await child.output.next()).toBe('{"from":"itself"}');
  await publish('live');
  expect(await child.output.next()).toBe('live');
  proxy.cut();
  await publish('missed');
  expect(await child.output.next()).toBe('missed');
  await publish('end');
  expect(await child.output.next()).toBe('end');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});
