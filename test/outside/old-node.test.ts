import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
