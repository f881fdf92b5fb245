import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { freePort } from '../support/ports.ts';
import { type GatewayProcess, runBusgate, startGateway } from '../support/processes.ts';
import { newPage, startBrowser } from './support/browser.ts';
import { ROOT } from './support/commands.ts';

let browser: Browser;
let folder: string;

beforeAll(async () => {
  browser = await startBrowser();
  folder = await mkdtemp(join(tmpdir(), 'busgate-examples-'));
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

function start(example: string, env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  return startGateway({ args: ['--config', settingsOf(example)], env });
}

const settingsOf = (example: string): string => join(ROOT, 'examples', example, 'busgate.yaml');

/** A tab on a page of an example, of which nothing was complained. */
async function open(url: string): Promise<Page> {
  const page = await newPage(browser);
  page.on('pageerror', (error) => expect.unreachable(error.message));
  await page.goto(url);
  return page;
}

const local = (gateway: GatewayProcess, path: string): string => `http://localhost:${gateway.port}${path}`;

describe('the chat', () => {
  test('has two tabs talk in a room, shows who comes later what was said, and keeps rooms apart', async () => {
    await using gateway = await start('chat');
    const [ada, bob, attic] = [await open(local(gateway, '/chat/lobby')), await open(local(gateway, '/chat/lobby')), await open(local(gateway, '/chat/attic'))];
    for (const page of [ada, bob, attic]) await page.getByText('connected', { exact: true }).waitFor();
    await say(ada, 'hello');
    await bob.getByRole('listitem').filter({ hasText: 'hello' }).waitFor();
    await say(bob, '<b>ü</b>');
    await ada.getByRole('listitem').filter({ hasText: '<b>ü</b>' }).waitFor();
    await say(attic, 'alone');
    await attic.getByRole('listitem').filter({ hasText: 'alone' }).waitFor();
    expect(await attic.getByRole('listitem').allTextContents()).toEqual(['alone']);
    const late = await open(local(gateway, '/chat/lobby'));
    await late.getByRole('listitem').nth(1).waitFor();
    expect(await late.getByRole('listitem').allTextContents()).toEqual(['hello', '<b>ü</b>']);
    expect(await Client.refused(gateway.ws('/chat/No%20room'))).toBe(404);
  });

  async function say(page: Page, text: string): Promise<void> {
    await page.getByLabel('Message').fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  }
});

test('the echo answers on one path by WebSocket and by HTTP', async () => {
  await using gateway = await start('echo');
  expect(await (await fetch(gateway.http('/echo?message=a%20b'))).text()).toBe('a b');
  const page = await open(local(gateway, '/echo'));
  await page.getByLabel('Message').fill('grüße');
  await page.getByRole('button', { name: 'by WebSocket' }).click();
  await page.getByRole('listitem').filter({ hasText: 'WebSocket: grüße' }).waitFor();
  await page.getByRole('button', { name: 'by HTTP' }).click();
  await page.getByRole('listitem').filter({ hasText: 'HTTP: grüße' }).waitFor();
});

test('the tail shows a file as it grows, through a rotation, a truncation and an absence of the gateway, each line once', async () => {
  const file = join(folder, 'app.log');
  const port = await freePort();
  const args = ['--config', settingsOf('tail'), '--port', `${port}`, '--ops-port', `${await freePort()}`];
  const serve = async (): Promise<ReturnType<typeof runBusgate>> => {
    const child = runBusgate(['serve', ...args], { env: { TAIL_FILE: file } });
    await child.lines.find((line) => line.includes('ready for clients'));
    return child;
  };
  await writeFile(file, 'before anybody\n');
  const first = await serve();
  const page = await open(`http://localhost:${port}/tail`);
  const shows = async (text: string): Promise<void> => expect.poll(() => page.locator('#log').textContent()).toBe(text);
  await shows('before anybody\n');
  await appendFile(file, 'live ü\nhalf ');
  await shows('before anybody\nlive ü\n');
  await appendFile(file, 'a line\n');
  await shows('before anybody\nlive ü\nhalf a line\n');
  await appendFile(file, 'last of it\n');
  await rename(file, `${file}.1`);
  await writeFile(file, 'another file\n');
  const rotated = 'before anybody\nlive ü\nhalf a line\nlast of it\n--- rotated ---\nanother file\n';
  await shows(rotated);
  await first.kill();
  await page.getByText('reconnecting').waitFor();
  await appendFile(file, 'while nobody served\n');
  await using _second = await serve();
  await shows(`${rotated}while nobody served\n`);
  await writeFile(file, 'again\n');
  await shows(`${rotated}while nobody served\n--- truncated ---\nagain\n`);
});

test('the tail sends a long file no faster than it is read', async () => {
  const file = join(folder, 'long.log');
  const lines = `${Array.from({ length: 400_000 }, (_, index) => `line ${index} of a file that is longer than any buffer on its way\n`).join('')}${'a line that is longer than any piece, ✓ '.repeat(5000)}\n`;
  await writeFile(file, lines);
  await using gateway = await start('tail', { TAIL_FILE: file });
  await using client = await Client.open(gateway.ws('/tail'));
  client.socket.pause();
  // Others are served meanwhile.
  expect((await fetch(gateway.http('/tail'))).status).toBe(200);
  client.socket.resume();
  let seen = 0;
  let text = '';
  await client.until((received) => {
    for (; seen < received.length; seen += 1) text += (JSON.parse(String(received[seen])) as { text: string }).text;
    return text.length === lines.length;
  });
  expect(text === lines).toBe(true);
});

describe('the heartbeat', () => {
  test('finds out on the page that the gateway stands still, and comes back to it', async () => {
    await using gateway = await start('heartbeat');
    const page = await open(local(gateway, '/heartbeat?ping=100&dead=2000'));
    await expect.poll(async () => Number(await page.locator('#answers').textContent())).toBeGreaterThan(2);
    expect(await page.locator('#connections').textContent()).toBe('1');
    gateway.signal('SIGSTOP');
    await page.getByText('reconnecting').waitFor();
    gateway.signal('SIGCONT');
    await page.getByText('alive').waitFor();
    expect(Number(await page.locator('#connections').textContent())).toBeGreaterThan(1);
  });

  test('sends no ping behind one that has not left, and none where the socket is not open', async () => {
    await using gateway = await start('heartbeat');
    const page = await open(local(gateway, '/heartbeat?ping=50&dead=2000'));
    await expect.poll(async () => Number(await page.locator('#answers').textContent())).toBeGreaterThan(2);
    // As if nothing left any more: no ping, no answer, and so another connection.
    await page.evaluate(() => Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => 4 }));
    await expect.poll(async () => Number(await page.locator('#connections').textContent())).toBeGreaterThan(1);
  });

  test('ends a client of which nothing is heard', async () => {
    await using gateway = await start('heartbeat', { HEARTBEAT_DEAD_MS: '500' });
    await using client = await Client.open(gateway.ws('/heartbeat'));
    client.send('ping');
    await client.until((received) => received.length === 1);
    expect(client.received).toEqual(['pong']);
    expect((await client.closed).code).toBe(4000);
  });
});

test('the stream sends while its handler runs, by WebSocket and by HTTP', async () => {
  await using gateway = await start('stream');
  const page = await open(local(gateway, '/stream'));
  await expect.poll(() => page.locator('#socket').textContent()).toBe('2');
  await page.getByRole('button', { name: 'stop' }).click();
  await expect.poll(() => page.locator('#socket').textContent()).toMatch(/^\d+, closed with 1000$/);
  await expect.poll(() => page.locator('#http').textContent()).toBe('5, that is all');
  const answer = await fetch(gateway.http('/stream?lines=3'));
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const pieces: string[] = [];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(new TextDecoder().decode(piece.value));
  expect(pieces).toEqual(['1\n', '2\n', '3\n']);
});
