import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { newPage, startBrowser } from './support/browser.ts';

const ARGS = ['--demo', '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'];

let gateway: GatewayProcess;
let browser: Browser;

beforeAll(async () => {
  gateway = await startGateway({ args: ARGS });
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.[Symbol.asyncDispose]();
});

/** A tab with the demo page, and what its console said. */
class Tab {
  readonly page: Page;
  readonly console: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => this.console.push(message.text()));
    page.on('pageerror', (error) => this.console.push(error.message));
  }

  static async open(port = gateway.port): Promise<Tab> {
    const tab = new Tab(await newPage(browser));
    await tab.page.goto(`http://localhost:${port}/`);
    return tab;
  }

  get connection(): Locator {
    return this.page.getByRole('region', { name: 'Connection' });
  }

  panel(room: string): Locator {
    return this.page.getByRole('region', { name: room, exact: true });
  }

  /** Resolves when the page shows a room as open. */
  async opens(room: string): Promise<void> {
    await this.panel(room).getByRole('status').getByText('open', { exact: true }).waitFor();
  }

  async join(room: string): Promise<void> {
    await this.page.getByLabel('Room', { exact: true }).fill(room);
    await this.page.getByRole('button', { name: 'Open', exact: true }).click();
    await this.opens(room);
  }

  async send(room: string, text: string): Promise<void> {
    await this.panel(room).getByLabel('Message', { exact: true }).fill(text);
    await this.panel(room).getByRole('button', { name: 'Send' }).click();
  }

  lines(room: string, text: string | RegExp): Locator {
    return this.panel(room).locator('li').filter({ hasText: text });
  }

  /** Has all rooms go over another transport; resolves when the page says that they do. */
  async choose(label: string, transport: string): Promise<void> {
    await this.page.getByLabel('Transport', { exact: true }).selectOption({ label });
    await this.connection.getByText(`open over ${transport}`, { exact: true }).waitFor();
  }

  /** Resolves when the room shows so many lines with this text. */
  async sees(room: string, text: string | RegExp, times = 1): Promise<void> {
    await this.lines(room, text)
      .nth(times - 1)
      .waitFor();
  }

  name(): Promise<string> {
    return this.page.locator('#name').innerText();
  }
}

test('two tabs chat in several rooms; one leaves, and the other notices', async () => {
  const [one, other] = [await Tab.open(), await Tab.open()];
  for (const tab of [one, other]) for (const room of ['1', 'chat.general']) await tab.join(room);
  await one.sees('1', `${await other.name()}joined`);

  await one.send('1', '<b>hello</b> & goodbye');
  await other.sees('1', '<b>hello</b> & goodbye');
  await other.send('1', 'answer ✓');
  await one.sees('1', 'answer ✓');
  // One's own message comes back from the room, once.
  expect(await one.lines('1', '<b>hello</b> & goodbye').count()).toBe(1);
  expect(await one.panel('1').locator('li.own', { hasText: 'hello' }).count()).toBe(1);
  expect(await other.panel('1').locator('b').count()).toBe(0);

  await one.panel('1').getByRole('button', { name: 'Close room 1' }).click();
  await other.sees('1', `${await one.name()}left`);
  await one.panel('1').getByRole('status').getByText('closed').waitFor();
  await other.send('1', 'anybody?');
  await other.sees('1', 'anybody?');
  await one.panel('1').getByRole('button', { name: 'Open again room 1' }).click();
  // It was here first: only now can the other have seen it come.
  await other.sees('1', `${await one.name()}joined`);
  expect(await one.lines('1', 'anybody?').count()).toBe(0);

  const name = await one.name();
  // A browser gives a tab that it closes half a second for its goodbye, which is little on a busy machine; one that goes elsewhere has all it needs.
  await one.page.goto('about:blank');
  await other.sees('chat.general', `${name}left`);
  expect([...one.console, ...other.console]).toEqual([]);
  for (const { page } of [one, other]) await page.close();
});

test('a room that is closed can be removed, and opened anew', async () => {
  const tab = await Tab.open();
  await tab.join('1');
  await tab.panel('1').getByRole('button', { name: 'Close room 1' }).click();
  await tab.panel('1').getByRole('button', { name: 'Remove room 1' }).click();
  await tab.page.getByText('No room is open.').waitFor();
  expect(await tab.panel('1').count()).toBe(0);
  await tab.join('1');
  await tab.page.close();
});

test('what a backend publishes over HTTP is there, bytes too, and a wrong room name is refused on the page', async () => {
  const tab = await Tab.open();
  await tab.join('http');
  for (const body of ['from a backend', Uint8Array.from([255, 0, 65])]) {
    const answer = await fetch(gateway.http('/room/http'), { method: 'POST', body });
    expect(answer.status).toBe(202);
  }
  await tab.sees('http', 'from a backend');
  await tab.sees('http', /ff 00 41\s*binary, 3 B/);
  await tab.page.getByLabel('Room', { exact: true }).fill('a..b');
  await tab.page.getByRole('button', { name: 'Open', exact: true }).click();
  await tab.page.locator('#room:invalid').waitFor();
  expect(await tab.page.locator('.panel').count()).toBe(1);
  expect(tab.console).toEqual([]);
  await tab.page.close();
});

test('nothing from outside runs or is asked for', async () => {
  const page = await newPage(browser);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  const answer = await page.goto(`http://localhost:${gateway.port}/`);
  expect(answer?.headers()['content-security-policy']).toContain("default-src 'none'");
  const blocked = page.waitForEvent('console', (message) => message.text().includes('Content Security Policy'));
  await page.evaluate(`{
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
  }`);
  await blocked;
  expect(await page.evaluate(`'ran' in window`)).toBe(false);
  expect(new Set(asked)).toEqual(new Set([`http://localhost:${gateway.port}`]));
  await page.close();
});

test('a page that was asleep counts down, and shows what it missed or that it may have', async () => {
  const tab = await Tab.open();
  for (const room of ['kept.1', 'live']) await tab.join(room);
  await tab.sees('kept.1', 'joined');
  await tab.page.getByRole('button', { name: 'Put to sleep' }).click();
  for (const seconds of [5, 4, 3]) await tab.connection.getByText(`asleep, again in ${seconds} s`).waitFor();
  await fetch(gateway.http('/room/kept.1'), { method: 'POST', body: 'while you slept' });
  await tab.connection.getByText('open over websocket').waitFor();
  await tab.sees('kept.1', 'while you slept');
  await tab.sees('live', 'a gap: messages may have been missed');
  expect(await tab.lines('kept.1', 'a gap').count()).toBe(0);
  await tab.page.close();
});

/** As the page calls them, and as the client does. */
const TRANSPORTS = [
  ['WebSocket', 'websocket'],
  ['event stream', 'sse'],
  ['long polls', 'poll'],
  ['by itself', 'websocket'],
] as const;

test('whichever transport is chosen, the room goes on where it was, and shows each message once, our own too', async () => {
  const tab = await Tab.open();
  const room = 'kept.transports';
  const publish = (body: string): Promise<Response> => fetch(gateway.http(`/room/${room}`), { method: 'POST', body });
  const expected = ['said before'];
  await publish('said before');
  await tab.join(room);
  await tab.sees(room, 'said before');
  for (const [label, transport] of TRANSPORTS) {
    await tab.choose(label, transport);
    await tab.opens(room);
    await tab.send(room, `said here, ${label}`);
    await tab.sees(room, `said here, ${label}`);
    const { position } = (await (await publish(`said there, ${label}`)).json()) as { readonly position: string };
    await tab.sees(room, `said there, ${label}`);
    await tab.panel(room).getByText(position, { exact: true }).waitFor();
    expected.push(`said here, ${label}`, `said there, ${label}`);
  }
  expect(await tab.lines(room, 'said').locator('.payload').allInnerTexts()).toEqual(expected);
  expect(await tab.panel(room).locator('li.own', { hasText: 'said here' }).count()).toBe(TRANSPORTS.length);
  expect(await tab.lines(room, 'a gap').count()).toBe(0);
  await tab.page.close();
});

test('a room that cannot be polled says so, and is opened again over another transport', async () => {
  const tab = await Tab.open();
  await tab.join('live.polls');
  await tab.choose('long polls', 'poll');
  await tab.sees('live.polls', 'closed: no_history');
  await tab.choose('event stream', 'sse');
  await tab.panel('live.polls').getByRole('button', { name: 'Open again room live.polls' }).click();
  await tab.opens('live.polls');
  await tab.send('live.polls', 'here again');
  await tab.sees('live.polls', 'here again');
  expect(await tab.lines('live.polls', 'here again').count()).toBe(1);
  await tab.page.close();
});

test('a gateway that drains is shown, and the page connects again', async () => {
  await using second = await startGateway({ args: ARGS });
  const tab = await Tab.open(second.port);
  await tab.join('1');
  second.signal('SIGTERM');
  await tab.connection.getByText(/^not connected, again in \d+ s$/).waitFor();
  expect((await second.exited).code).toBe(0);
  await using _third = await startGateway({ args: ['--demo', '--port', String(second.port)] });
  await tab.opens('1');
  await tab.sees('1', 'not connected');
  await tab.sees('1', 'open over websocket');
  await tab.send('1', 'here again');
  await tab.sees('1', 'here again');
  await tab.page.close();
});
