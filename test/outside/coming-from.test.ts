import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { BEHAVIOURS, readPairs } from '../support/coming-from.ts';
import { freePort } from '../support/ports.ts';
import { outputOf } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const PREPARE_MS = 600_000;

/** Serves `before.application` of Tornado on a port. */
const TORNADO = `
import asyncio, sys
import before

async def main():
    before.application.listen(int(sys.argv[1]), "127.0.0.1")
    print("serving", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
`;
/** What a project of Django has around its consumers. */
const DJANGO = `
import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    INSTALLED_APPS=["channels"],
    SECRET_KEY="secret",
)
django.setup()
import before
application = getattr(before, "application", None)
`;

const pairs = await readPairs();
const before = (library: string): readonly { title: string; before: string }[] => pairs.filter((pair) => pair.library === library);

let folder: string;
let python: PythonEnvironment;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-coming-from-'));
  python = await PythonEnvironment.with('tornado==6.5.2', 'channels==4.3.2', 'daphne==4.2.1');
}, PREPARE_MS);

afterAll(async () => {
  await python[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test.each(before('Tornado'))('the code of Tornado does what the document says: $title', async ({ title, before: code }) => {
  const at = await project(code, TORNADO);
  const port = await freePort();
  await using server = new Child(python.command('python'), [join(at, 'serve.py'), `${port}`], { cwd: at });
  await server.lines.find((line) => line.includes('serving'));
  await expect(BEHAVIOURS[title]?.(placeOf(port))).resolves.toBeUndefined();
});

test.each(before('Channels 3 and 4'))('the code of Channels does what the document says: $title', async ({ title, before: code }) => {
  const at = await project(code, DJANGO);
  const behave = BEHAVIOURS[title];
  if (behave === undefined) {
    const running = ['-c', 'import asyncio, serve; asyncio.run(serve.before.check()); print("checked")'];
    expect(await outputOf(python.command('python'), running, { cwd: at })).toContain('checked');
    return;
  }
  const port = await freePort();
  await using server = new Child(python.command('daphne'), ['-b', '127.0.0.1', '-p', `${port}`, 'serve:application'], { cwd: at });
  await server.lines.find((line) => line.includes('Listening on TCP address'));
  await expect(behave(placeOf(port))).resolves.toBeUndefined();
});

/** A folder with the code, and what serves it. */
async function project(code: string, serve: string): Promise<string> {
  const at = await mkdtemp(join(folder, 'project-'));
  await writeFile(join(at, 'before.py'), code);
  await writeFile(join(at, 'serve.py'), serve);
  return at;
}

function placeOf(port: number): { ws(path: string): string; http(path: string): string } {
  return { ws: (path) => `ws://127.0.0.1:${port}${path}`, http: (path) => `http://127.0.0.1:${port}${path}` };
}
