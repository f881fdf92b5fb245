import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FaultProxy } from '../support/fault-proxy.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { newPage, startBrowser } from './support/browser.ts';
import { joining, type Seen } from './support/room-page.ts';

let gateway: GatewayProcess;
let browser: Browser;
let proxy: FaultProxy;

beforeAll(async () => {
  gateway = await startGateway({ args: ['--demo', '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'] });
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  proxy = await FaultProxy.start(gateway.port);
});

afterEach(() => proxy[Symbol.asyncDispose]());

/** A page whose client is in a room, and keeps what it gets. */
async function open(room: string, options = '{}'): Promise<Page> {
  const page = await newPage(browser);
  await join(page, room, '/client/index.js', options);
  return page;
}

async function join(page: Page, room: string, entry: string, options = '{}'): Promise<void> {
  // A page of the gateway without a script of its own.
  await page.goto(`http://localhost:${proxy.port}/demo.css`);
  await page.evaluate(joining(room, options, entry));
}

const seenBy = (page: Page): Promise<Seen> => page.evaluate('window.seen');

async function publish(room: string, text: string): Promise<void> {
  const { status } = await fetch(gateway.http(`/room/${room}`), { method: 'POST', body: text });
  expect(status).toBe(202);
}

/** Sockets that the gateway has. */
async function sessions(): Promise<number> {
  const metrics = await (await fetch(gateway.ops('/metrics'))).text();
  return Number(/^busgate_sessions\{transport="websocket"\} (\d+)$/m.exec(metrics)?.[1]);
}

test('a page whose connection is cut comes back by itself, and misses nothing', async () => {
  const page = await open('kept.cut');
  for (const text of ['one', 'two']) {
    proxy.cut();
    await publish('kept.cut', text);
    await expect.poll(async () => (await seenBy(page)).texts.at(-1)).toBe(text);
  }
  expect(await seenBy(page)).toMatchObject({ texts: ['one', 'two'], gaps: 0 });
  await page.close();
});

test('a page whose connection is dead without a word finds out, and misses nothing', async () => {
  const page = await open('kept.dead', '{ heartbeat: { every: 300, timeout: 600 } }');
  proxy.freeze();
  await publish('kept.dead', 'one');
  await expect.poll(async () => (await seenBy(page)).states).toContain('waiting');
  proxy.thawNew();
  await expect.poll(async () => (await seenBy(page)).texts).toHaveLength(1);
  expect(await seenBy(page)).toMatchObject({ texts: ['one'], gaps: 0 });
  await page.close();
});

test('two tabs share one connection, and the one that is left has everything', async () => {
  const context = await browser.newContext();
  const tabs = [await context.newPage(), await context.newPage()] as const;
  for (const tab of tabs) await join(tab, 'kept.tabs', '/client/tabs/index.js');
  expect(await sessions()).toBe(1);
  await publish('kept.tabs', 'to both');
  for (const tab of tabs) await expect.poll(async () => (await seenBy(tab)).texts).toEqual(['to both']);
  await tabs[0].close();
  await publish('kept.tabs', 'to the other');
  await expect.poll(async () => (await seenBy(tabs[1])).texts).toEqual(['to both', 'to the other']);
  expect((await seenBy(tabs[1])).gaps).toBe(0);
  await context.close();
});

test('a page goes into the back/forward cache, and takes up where it was', async () => {
  const page = await open('kept.back');
  await publish('kept.back', 'before');
  await expect.poll(async () => (await seenBy(page)).texts).toHaveLength(1);
  await page.goto(`http://localhost:${proxy.port}/demo.js`);
  await publish('kept.back', 'while it was away');
  // A page that comes out of the cache is not loaded again.
  await page.goBack({ waitUntil: 'commit' });
  await expect.poll(async () => (await seenBy(page)).texts).toHaveLength(2);
  expect(await seenBy(page)).toMatchObject({ texts: ['before', 'while it was away'], gaps: 0, wasKept: true });
  await page.close();
});
