import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FaultProxy } from '../support/fault-proxy.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { Firefox, type FirefoxPage } from './support/firefox.ts';
import { joining, type Seen } from './support/room-page.ts';

let gateway: GatewayProcess;
let firefox: Firefox;
let proxy: FaultProxy;

beforeAll(async () => {
  gateway = await startGateway({ args: ['--demo', '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'] });
  firefox = await Firefox.start();
});

afterAll(async () => {
  await firefox?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  proxy = await FaultProxy.start(gateway.port);
});

afterEach(() => proxy[Symbol.asyncDispose]());

/** A page whose client is in a room, and keeps what it gets. */
async function open(room: string, options = '{}', entry = '/client/index.js'): Promise<FirefoxPage> {
  // A page of the gateway without a script of its own.
  const page = await firefox.open(`http://localhost:${proxy.port}/demo.css`);
  await page.evaluate(joining(room, options, entry));
  return page;
}

const seenBy = async (page: FirefoxPage): Promise<Seen> => (await page.evaluate('window.seen')) as Seen;

async function publish(room: string, text: string): Promise<void> {
  const { status } = await fetch(gateway.http(`/room/${room}`), { method: 'POST', body: text });
  expect(status).toBe(202);
}

test.each(['websocket', 'sse', 'poll'])('a page of Firefox whose connection is cut comes back by itself over %s, and misses nothing', async (transport) => {
  const room = `kept.cut.${transport}`;
  const page = await open(room, `{ transports: ['${transport}'] }`);
  for (const text of ['one', 'two']) {
    proxy.cut();
    await publish(room, text);
    await expect.poll(async () => (await seenBy(page)).texts.at(-1)).toBe(text);
  }
  expect(await seenBy(page)).toMatchObject({ texts: ['one', 'two'], gaps: 0, transport });
  await page.close();
});

test('a page of Firefox whose connection is dead without a word finds out, and misses nothing', async () => {
  const page = await open('kept.dead', '{ heartbeat: { every: 300, timeout: 600 } }');
  proxy.freeze();
  await publish('kept.dead', 'one');
  await expect.poll(async () => (await seenBy(page)).states).toContain('waiting');
  proxy.thawNew();
  await expect.poll(async () => (await seenBy(page)).texts).toHaveLength(1);
  expect(await seenBy(page)).toMatchObject({ texts: ['one'], gaps: 0 });
  await page.close();
});

test('two tabs of Firefox share one connection, and the one that is left has everything', async () => {
  const tabs = [await open('kept.tabs', '{}', '/client/tabs/index.js'), await open('kept.tabs', '{}', '/client/tabs/index.js')] as const;
  expect(await gateway.metric('busgate_sessions{transport="websocket"}')).toBe(1);
  await publish('kept.tabs', 'to both');
  for (const tab of tabs) await expect.poll(async () => (await seenBy(tab)).texts).toEqual(['to both']);
  await tabs[0].close();
  await publish('kept.tabs', 'to the other');
  await expect.poll(async () => (await seenBy(tabs[1])).texts).toEqual(['to both', 'to the other']);
  expect((await seenBy(tabs[1])).gaps).toBe(0);
  await tabs[1].close();
});
