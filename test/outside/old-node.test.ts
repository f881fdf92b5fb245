import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats, startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { packageWith } from '../support/command-package.ts';

const run = promisify(execFile);
const NODE_24 = join(import.meta.dirname, '../../node_modules/node');

let host: string;
let node20: string;

beforeAll(async () => {
  host = await mkdtemp(join(tmpdir(), 'busgate-node-20-'));
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', host, 'node@20'], { cwd: host });
  node20 = join(host, 'node_modules/node/bin/node');
});

afterAll(() => rm(host, { recursive: true, force: true }));

describe('the command on a host with Node 20', () => {
  test('runs in the Node of the workspace, and is that process to the outside', async () => {
    await using command = await packageWith('dist/cli.js');
    await mkdir(join(command.folder, 'node_modules'));
    await symlink(NODE_24, join(command.folder, 'node_modules/node'));
    await using child = new Child(node20, [command.bin, 'serve'], { stdin: 'pipe' });
    expect(JSON.parse(await child.output.next())).toMatchObject({ args: ['serve'], node: process.version, marks: [] });
    child.signal('SIGTERM');
    expect(await child.output.next()).toBe('SIGTERM');
    child.write('end\n');
    expect(await child.exited).toEqual({ code: 7, signal: null });
  });

  test('says what it needs where there is no other Node', async () => {
    await using command = await packageWith('dist/cli.js');
    await using child = new Child(node20, [command.bin]);
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.lines.all.join('\n')).toMatch(/^busgate needs Node 24 or newer; this is v20\./);
  });
});

/** Opens the layer of a URL and uses everything that it can, as a program on that host would; prints what it got. */
const USE = `
import { openLayer } from '@busgate/layer';
const [, url] = process.argv;
const history = [{ rooms: 'kept.>', size: 100, ageMs: 60000 }];
const options = { prefix: 'node20', history };
const here = await openLayer(url, options);
const there = await openLayer(url, options);
const got = [];
const channel = there.newChannel();
await there.groupAdd('group', channel);
await there.groupAdd('group', 'work');
const live = new Promise((resolve) => void there.subscribe('room', ({ payload }) => resolve(Buffer.from(payload).toString())).then(() => here.publish('room', 'live')));
got.push(await live);
const { position } = await here.publish('kept.1', 'first');
await Promise.all(Array.from({ length: 40 }, (_, n) => here.publish('kept.1', String(n))));
const replayed = [];
const { recovered } = await there.subscribe('kept.1', ({ payload }) => replayed.push(Number(Buffer.from(payload).toString())), { since: position });
got.push(recovered, replayed.every((n, index) => n === index), replayed.length);
await here.groupSend('group', { n: 1 });
got.push((await there.receive(channel)).n, (await here.receive('work')).n);
await here.flush();
await Promise.all([here.close(), there.close()]);
console.log(JSON.stringify({ node: process.version.split('.')[0], got }));
`;

describe('the layers on a host with Node 20', () => {
  test.each([
    ['memory', () => Promise.resolve({ url: 'memory:node20', [Symbol.asyncDispose]: () => Promise.resolve() })],
    ['redis', () => startRedis()],
    ['nats', () => startNats()],
  ])('%s: is opened, and does all that it does', async (_, start) => {
    await using broker = await start();
    await using child = new Child(node20, ['--input-type=module', '-e', USE, broker.url], { cwd: import.meta.dirname });
    expect(await child.exited, child.lines.all.join('\n')).toEqual({ code: 0, signal: null });
    expect(JSON.parse(child.output.all.at(-1) ?? '')).toEqual({ node: 'v20', got: ['live', true, true, 40, 1, 1] });
  });
});
