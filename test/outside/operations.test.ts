import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { MultiplexClient } from '../e2e/clients.ts';
import { newPage, startBrowser } from './support/browser.ts';

const KEY = 'a-key-that-nobody-guesses';
/** Where screenshots go for whoever wants to look; without it there are none. */
const SCREENSHOTS = process.env['SCREENSHOTS'];

let redis: Broker;
let gateways: GatewayProcess[];
let browser: Browser;
beforeAll(async () => {
  redis = await startRedis();
  const args = ['--demo', '--layer', redis.url, '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'];
  gateways = await Promise.all([1, 2].map(() => startGateway({ args, env: { BUSGATE_OPS_KEY: KEY } })));
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await Promise.all((gateways ?? []).map((gateway) => gateway[Symbol.asyncDispose]()));
  await redis?.[Symbol.asyncDispose]();
});

/** The page of the first gateway's ops port. */
class Tab {
  readonly page: Page;
  readonly console: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => this.console.push(message.text()));
    page.on('pageerror', (error) => this.console.push(error.message));
    page.on('dialog', (dialog) => void dialog.accept());
  }

  static async open(): Promise<Tab> {
    const tab = new Tab(await newPage(browser));
    await tab.page.goto(gateways[0]!.ops('/'));
    return tab;
  }

  async unlock(key = KEY): Promise<void> {
    await this.page.getByLabel('Key of the ops port').fill(key);
    await this.page.getByRole('button', { name: 'Open', exact: true }).click();
  }

  view(name: string): Locator {
    return this.page.getByRole('region', { name, exact: true });
  }

  /** Resolves when a view shows this text. */
  async shows(view: string, text: string | RegExp): Promise<void> {
    await this.view(view).getByText(text).first().waitFor();
  }

  async goTo(view: string): Promise<void> {
    await this.page.getByRole('navigation').getByRole('link', { name: view }).click();
    await this.view(view).waitFor();
  }

  async screenshot(name: string): Promise<void> {
    if (SCREENSHOTS === undefined) return;
    await mkdir(SCREENSHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
  }
}

test('nothing is shown without the key; a wrong one is refused, and asked for anew', async () => {
  const tab = await Tab.open();
  await tab.page.getByLabel('Key of the ops port').waitFor();
  expect(await tab.page.getByRole('navigation').count()).toBe(0);
  await tab.screenshot('key');
  await tab.unlock('wrong');
  await tab.page.getByText('This key is not the one of this ops port.').waitFor();
  await tab.unlock();
  await tab.view('Fleet').getByRole('table').first().waitFor();
  expect(tab.page.url()).not.toContain(KEY);
  await tab.page.reload();
  await tab.view('Fleet').getByRole('table').first().waitFor();
  await tab.page.getByRole('button', { name: 'Forget the key' }).click();
  await tab.page.getByLabel('Key of the ops port').waitFor();
  await tab.page.reload();
  await tab.page.getByLabel('Key of the ops port').waitFor();
  await tab.page.close();
});

test('an operator sees the fleet, its rooms by members, a session, live messages, publishes, and closes', async () => {
  const [first, second] = gateways as [GatewayProcess, GatewayProcess];
  const clients = await Promise.all([first, second, second].map((gateway) => MultiplexClient.open(gateway.ws('/socket'))));
  for (const [index, client] of clients.entries())
    for (const room of ['kept.large', ...(index === 0 ? ['small', 'other'] : [])]) await client.request({ type: 'join', room });
  const tab = await Tab.open();
  await tab.unlock();
  // Live: it asks again by itself, until both have been heard and the sessions are there.
  await tab.view('Fleet').getByRole('table', { name: 'gateways' }).getByRole('row').nth(2).waitFor();
  await tab.view('Fleet').locator('.totals').getByText('3', { exact: true }).waitFor();
  await tab.shows('Fleet', 'kept.>');
  await tab.screenshot('fleet');

  await tab.goTo('Rooms');
  await tab.page.getByRole('button', { name: 'Show', exact: true }).click();
  await tab.view('Rooms').getByRole('row').nth(1).waitFor();
  expect(await tab.view('Rooms').getByRole('table', { name: 'rooms' }).getByRole('row').nth(1).innerText()).toMatch(/^kept\.large\s+3\s+1/);
  await tab.view('Rooms').getByRole('button', { name: 'kept.large' }).click();
  await tab.shows('Rooms', '3 in the fleet, 1 here');
  await tab.screenshot('room');

  await tab.view('Rooms').getByRole('button', { name: 'Listen to it' }).click();
  await tab.view('Tap').getByRole('button', { name: 'Stop' }).waitFor();
  await clients[0]!.request({ type: 'publish', room: 'kept.large', text: '<i>not markup</i>' });
  await tab.shows('Tap', '<i>not markup</i>');
  await tab.screenshot('tap');

  await tab.goTo('Publish');
  await tab.page.getByRole('textbox', { name: 'Rooms', exact: true }).fill('kept.large small');
  await tab.page.getByLabel('Payload').fill('{"from":"the page"}');
  await tab.view('Publish').getByRole('button', { name: 'Publish' }).click();
  await clients[0]!.until(() => clients[0]!.messages('small').length === 1);
  expect(clients[0]!.messages('small')).toEqual([{ from: 'the page' }]);
  await tab.shows('Publish', 'published');
  await tab.screenshot('publish');

  await tab.goTo('Sessions');
  await tab.view('Sessions').getByLabel('Room').fill('small');
  await tab.view('Sessions').getByRole('button', { name: 'Show' }).click();
  const id = String(clients[0]!.frames[0]?.['session']);
  await tab.view('Sessions').getByRole('button', { name: id }).click();
  await tab.shows('Sessions', 'other');
  await tab.screenshot('session');
  await tab.view('Sessions').getByRole('button', { name: 'Close it' }).click();
  expect((await clients[0]!.closed).code).toBe(1012);
  await tab.shows('Sessions', `${id} is closed.`);

  expect(tab.console).toEqual([]);
  await tab.page.close();
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test('on a narrow screen nothing is wider than it', async () => {
  const tab = await Tab.open();
  await tab.page.setViewportSize({ width: 360, height: 740 });
  await tab.unlock();
  for (const view of ['Fleet', 'Rooms', 'Sessions', 'Tap', 'Publish']) {
    await tab.goTo(view);
    expect([view, await tab.page.evaluate('document.documentElement.scrollWidth')]).toEqual([view, 360]);
  }
  await tab.goTo('Fleet');
  await tab.view('Fleet').getByRole('table').first().waitFor();
  await tab.screenshot('narrow');
  await tab.page.close();
});
