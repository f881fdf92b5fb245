import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requireBinary } from '../support/binaries.ts';
import { startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { outputOf, ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const PASSWORD = 'of the test alone';
/** A file of a page, by the name that stands before it. */
const FILE = /^`([\w./]+)`:\n\n```\w+\n(.*?)^```$/gms;
/** An application as the page begins with, but for what Debian's Rails has no gems of. */
const NEW_RAILS = ['new', '.', '--minimal', '--skip-active-record', '--skip-bundle', '--skip-listen'];

/** A folder with the files of a page of docs/guides/auth, gone after its disposal. */
class Page implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** `port`: what stands in the place of 3000; `prepare`: what is done in its folder before. */
  static async of(name: string, port = 3000, prepare?: (folder: string) => Promise<unknown>): Promise<Page> {
    const page = new Page(await mkdtemp(join(tmpdir(), 'busgate-auth-')));
    await prepare?.(page.folder);
    const text = await readFile(join(ROOT, 'docs/guides/auth', `${name}.md`), 'utf8');
    for (const [, file = '', content = ''] of text.matchAll(FILE)) await page.write(file, content.replaceAll('localhost:3000', `localhost:${port}`));
    return page;
  }

  write(file: string, content: string): Promise<void> {
    return writeFile(join(this.folder, file), content);
  }

  /** A gateway with the settings of the page. */
  gateway(...args: readonly string[]): Promise<GatewayProcess> {
    return startGateway({ args: ['--config', join(this.folder, 'busgate.yaml'), ...args] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The status with which a stream of events begins. */
async function streaming(gateway: GatewayProcess, path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const answer = await fetch(gateway.http(path), { headers: { ...headers, Accept: 'text/event-stream' } });
  await answer.body?.cancel();
  return answer.status;
}

/** The cookie with which a login of Express's or Rails' page is answered, once there is somebody who answers. */
async function loggedIn(url: string): Promise<string> {
  const login = (): Promise<Response | undefined> => fetch(url, { method: 'POST' }).catch(() => undefined);
  await expect.poll(async () => (await login())?.status).toBe(204);
  return (await login())?.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

test('docs/guides/auth/express.md: whoever has logged in has their own rooms, from pages of the application alone', async () => {
  const port = await freePort();
  await using page = await Page.of('express', port);
  await outputOf('npm', ['install', '--no-audit', '--no-fund', 'express@5', 'express-session@1'], { cwd: page.folder });
  await using _app = new Child(process.execPath, ['app.mjs'], { cwd: page.folder, env: { PORT: `${port}` } });
  const Cookie = await loggedIn(`http://localhost:${port}/login/ann`);
  const Origin = `http://localhost:${port}`;
  await using gateway = await page.gateway();
  const room = (user: string): string => `/room/user.${user}.news`;
  expect(await streaming(gateway, room('ann'), { Cookie, Origin })).toBe(200);
  expect(await streaming(gateway, room('bob'), { Cookie, Origin })).toBe(403);
  expect(await streaming(gateway, room('ann'), { Origin })).toBe(401);
  expect(await streaming(gateway, room('ann'), { Cookie, Origin: 'https://evil.example' })).toBe(403);
});

test('docs/guides/auth/django.md: whoever has logged in has their own rooms', async () => {
  const port = await freePort();
  await using python = await PythonEnvironment.with('django~=5.2');
  const startProject = (folder: string): Promise<string> => outputOf(python.command('django-admin'), ['startproject', 'shop', '.'], { cwd: folder });
  await using page = await Page.of('django', port, startProject);
  const run = (...args: readonly string[]): Promise<string> =>
    outputOf(python.command('python'), args, { cwd: page.folder, env: { DJANGO_SUPERUSER_PASSWORD: PASSWORD } });
  await run('manage.py', 'migrate');
  await run('manage.py', 'createsuperuser', '--noinput', '--username', 'ann', '--email', 'ann@app.example');
  await using _site = new Child(python.command('python'), ['manage.py', 'runserver', `${port}`, '--noreload'], { cwd: page.folder });
  const [Origin, Cookie] = [`http://localhost:${port}`, await djangoSession(`http://localhost:${port}/admin/login/`)];
  await using gateway = await page.gateway();
  expect(await streaming(gateway, '/room/user.1.news', { Cookie, Origin })).toBe(200);
  expect(await streaming(gateway, '/room/user.2.news', { Cookie, Origin })).toBe(403);
  expect(await streaming(gateway, '/room/user.1.news', { Origin })).toBe(401);
});

/** Logs in as a browser does; the cookie of the session. */
async function djangoSession(url: string): Promise<string> {
  const form = (): Promise<Response | undefined> => fetch(url).catch(() => undefined);
  await expect.poll(async () => (await form())?.status).toBe(200);
  const cookie = (await form())?.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const body = new URLSearchParams({ username: 'ann', password: PASSWORD, csrfmiddlewaretoken: cookie.slice(cookie.indexOf('=') + 1) });
  const answer = await fetch(url, { method: 'POST', body, headers: { Cookie: cookie }, redirect: 'manual' });
  const [session = ''] = answer.headers.getSetCookie().filter((one) => one.startsWith('sessionid='));
  return session.split(';')[0] ?? '';
}

test('docs/guides/auth/rails.md: whoever has logged in has their own rooms, by the encrypted cookie of Rails', async () => {
  const port = await freePort();
  const rails = await requireBinary('rails', '', 'ruby-rails');
  await requireBinary('puma');
  await using page = await Page.of('rails', port, (folder) => outputOf(rails, NEW_RAILS, { cwd: folder }));
  await page.write('Gemfile', "gem 'rails'\ngem 'puma'\n");
  await using _app = new Child(join(page.folder, 'bin/rails'), ['server', '-p', `${port}`], { cwd: page.folder });
  const Cookie = await loggedIn(`http://localhost:${port}/login/ann`);
  const Origin = `http://localhost:${port}`;
  await using gateway = await page.gateway();
  expect(await streaming(gateway, '/room/user.ann.news', { Cookie, Origin })).toBe(200);
  expect(await streaming(gateway, '/room/user.bob.news', { Cookie, Origin })).toBe(403);
  expect(await streaming(gateway, '/room/user.ann.news', { Origin })).toBe(401);
  // Not a character of it may change.
  expect(await streaming(gateway, '/room/user.ann.news', { Cookie: Cookie.replace('=', '=a'), Origin })).toBe(401);
  expect(await streaming(gateway, '/room/user.ann.news', { Cookie, Origin: 'https://evil.example' })).toBe(403);
});

test('docs/guides/auth/jwt.md: a token of the page has the rooms that it names', async () => {
  await using page = await Page.of('jwt');
  await page.write('secret', 'a'.repeat(64));
  const token = (await outputOf(process.execPath, ['token.mjs', 'bob', 'team.7.>'], { cwd: page.folder })).trim();
  await page.write(
    'busgate.yaml',
    (await readFile(join(page.folder, 'busgate.yaml'), 'utf8')).replace('key_file: secret', `key_file: ${join(page.folder, 'secret')}`),
  );
  await using gateway = await page.gateway();
  const headers = { Authorization: `Bearer ${token}` };
  const answers = [await streaming(gateway, '/room/team.7.news', headers), await streaming(gateway, '/room/team.8.news', headers)];
  expect([...answers, await streaming(gateway, '/room/team.7.news')]).toEqual([200, 403, 401]);
});

test('docs/guides/auth/none.md: everybody hears what is open, and nobody publishes', async () => {
  await using page = await Page.of('none');
  await using broker = await startRedis();
  await using gateway = await page.gateway('--layer', broker.url);
  const posting = await fetch(gateway.http('/room/public.news'), { method: 'POST', body: 'x' });
  expect([await streaming(gateway, '/room/public.news'), await streaming(gateway, '/room/other'), posting.status]).toEqual([200, 403, 403]);
});
