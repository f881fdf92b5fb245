import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { requireBinary } from '../support/binaries.ts';
import { startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { runBusgate } from '../support/processes.ts';
import { newPage, startBrowser } from './support/browser.ts';
import { outputOf, ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const SITE = join(ROOT, 'examples/django');
const DIFF = join(SITE, 'busgate.diff');
const PREPARE_MS = 600_000;

interface Service {
  readonly command?: string;
}

/** What stands for the addresses in the Compose file. */
interface Addresses {
  readonly redis: string;
  readonly port: number;
}

let folder: string;
let python: PythonEnvironment;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-django-'));
  await Promise.all(['before', 'after'].map((copy) => cp(SITE, join(folder, copy), { recursive: true })));
  await outputOf(await requireBinary('patch'), ['-p1', '-i', DIFF], { cwd: join(folder, 'after') });
  python = await PythonEnvironment.with('-r', join(SITE, 'requirements.txt'), join(ROOT, 'packages/asgi'));
  browser = await startBrowser();
}, PREPARE_MS);

afterAll(async () => {
  await browser?.close();
  await python?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('the diff is at most ten lines', async () => {
  const changed = (await readFile(DIFF, 'utf8')).split('\n').filter((line) => /^[+-](?![+-]{2} )/.test(line));
  expect(changed.length).toBeLessThanOrEqual(10);
});

describe.each(['before', 'after'])('the site as it is %s the diff', (copy) => {
  test('two tabs talk to each other in a room, and nobody else hears it', async () => {
    await using redis = await startRedis();
    const addresses = { redis: redis.url, port: await freePort() };
    await using _processes = await serve(join(folder, copy), addresses);
    const site = `http://localhost:${addresses.port}`;
    await expect.poll(() => statusOf(`${site}/lobby/`), { timeout: 60_000 }).toBe(200);
    const [ada, bob, attic] = [await open(`${site}/lobby/`), await open(`${site}/lobby/`), await open(`${site}/attic/`)];
    await say(ada, 'hello');
    await says(bob, 'hello');
    await say(bob, '<b>ü</b>');
    await says(ada, '<b>ü</b>');
    await say(attic, 'alone');
    await says(attic, 'alone');
    expect(await attic.getByRole('listitem').allTextContents()).toEqual(['alone']);
    expect(await ada.getByRole('listitem').allTextContents()).toEqual(['hello', '<b>ü</b>']);
    for (const page of [ada, bob, attic]) await page.close();
  });
});

test('a worker of the moved site is replaced and no tab notices', async () => {
  await using redis = await startRedis();
  const addresses = { redis: redis.url, port: await freePort() };
  const site = join(folder, 'after');
  await using processes = await serve(site, addresses);
  const lobby = `http://localhost:${addresses.port}/lobby/`;
  await expect.poll(() => statusOf(lobby), { timeout: 60_000 }).toBe(200);
  const page = await open(lobby);
  const [first] = processes.workers;
  await using next = startWorker(site, addresses, (await servicesOf(site))['web']);
  await next.lines.find((line) => line.includes('Reading queue'));
  first?.signal('SIGTERM');
  await first?.exited;
  await say(page, 'still here');
  await says(page, 'still here');
  expect(await page.getByRole('status').textContent()).toBe('open');
  await page.close();
});

/** The processes of a copy of the site. */
class Processes implements AsyncDisposable {
  readonly workers: readonly Child[];
  readonly #gateways: readonly Child[];

  constructor(workers: readonly Child[], gateways: readonly Child[]) {
    this.workers = workers;
    this.#gateways = gateways;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [...this.workers, ...this.#gateways]) await child[Symbol.asyncDispose]();
  }
}

/** Runs what the Compose file of a copy says, on this machine. */
async function serve(site: string, addresses: Addresses): Promise<Processes> {
  const { web, gateway } = await servicesOf(site);
  const gateways = gateway === undefined ? [] : [await startGateway(addresses, gateway)];
  return new Processes([startWorker(site, addresses, web)], gateways);
}

async function servicesOf(site: string): Promise<Readonly<Record<string, Service>>> {
  const compose = parse(await readFile(join(site, 'docker-compose.yml'), 'utf8')) as { readonly services: Record<string, Service> };
  return compose.services;
}

function startWorker(cwd: string, addresses: Addresses, service: Service | undefined): Child {
  const path = `${python.command('')}:${process.env['PATH']}`;
  return new Child('sh', ['-c', `exec ${here(service, addresses)}`], { cwd, env: { PATH: path, REDIS: addresses.redis } });
}

async function startGateway(addresses: Addresses, service: Service): Promise<Child> {
  const args = (await outputOf('sh', ['-c', `printf '%s\\n' ${here(service, addresses)}`])).trimEnd().split('\n');
  return runBusgate([...args, '--port', `${addresses.port}`, '--ops-port', `${await freePort()}`]);
}

/** The command of a service, with the addresses of this machine. */
function here(service: Service | undefined, { redis, port }: Addresses): string {
  return (service?.command ?? '').replaceAll('redis://redis:6379', redis).replaceAll(/\b8000\b/g, `${port}`);
}

async function statusOf(url: string): Promise<number> {
  return fetch(url).then(
    ({ status }) => status,
    () => 0,
  );
}

/** A tab whose socket is open. */
async function open(url: string): Promise<Page> {
  const page = await newPage(browser);
  await page.goto(url);
  await page.getByRole('status').getByText('open', { exact: true }).waitFor();
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

async function says(page: Page, text: string): Promise<void> {
  await page.getByRole('listitem').getByText(text, { exact: true }).waitFor();
}
