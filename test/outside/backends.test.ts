import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { startGateway } from '../support/processes.ts';
import { outputOf, ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const BACKENDS = join(ROOT, 'examples/backends');
const SECRET = `whsec_${Buffer.from('k'.repeat(32)).toString('base64')}`;
const PREPARE_MS = 600_000;

let folder: string;
let python: PythonEnvironment;

/** A backend of the examples, and how it is run on a port. */
const EXAMPLES: readonly { readonly name: string; readonly run: (port: number) => Child }[] = [
  { name: 'Express', run: (port) => new Child(process.execPath, ['express.mjs'], { cwd: folder, env: { WEBHOOK_SECRET: SECRET, PORT: `${port}` } }) },
  {
    name: 'Flask',
    run: (port) =>
      new Child(python.command('flask'), ['--app', 'flask_app', 'run', '--port', `${port}`], {
        cwd: BACKENDS,
        env: { WEBHOOK_SECRET: SECRET, PYTHONDONTWRITEBYTECODE: '1' },
      }),
  },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-backends-'));
  await copyFile(join(BACKENDS, 'express.mjs'), join(folder, 'express.mjs'));
  await outputOf('npm', ['install', '--no-audit', '--no-fund', 'express@5', 'standardwebhooks@1'], { cwd: folder });
  python = await PythonEnvironment.with('flask~=3.1', 'standardwebhooks~=1.0');
}, PREPARE_MS);

afterAll(async () => {
  await python?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.each(EXAMPLES)('the backend on $name', ({ run }) => {
  test('lets everybody on a path hear what one says, and believes nobody else than the gateway', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/busgate`;
    await using _backend = run(port);
    const post = (): Promise<Response> => fetch(url, { method: 'POST', body: '{"type":"websocket.connect"}', headers: { 'Content-Type': 'application/json' } });
    await expect
      .poll(() =>
        post().then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(401);
    await using gateway = await startGateway({ args: ['--routes', `[{path: '/chat/*', kind: events, url: '${url}', secret: ${SECRET}}]`] });
    const open = (path: string): Promise<Client> => Client.open(gateway.ws(path));
    await using one = await open('/chat/lobby');
    await using two = await open('/chat/lobby');
    await using elsewhere = await open('/chat/other');
    one.send('hello');
    two.send('and you');
    for (const client of [one, two]) await client.until((received) => received.length === 2);
    expect([one, two].map(({ received }) => received.map(String).toSorted())).toEqual(Array(2).fill(['and you', 'hello']));
    elsewhere.send('marker');
    await elsewhere.until((received) => received.length > 0);
    expect(elsewhere.received).toEqual(['marker']);
  });
});
