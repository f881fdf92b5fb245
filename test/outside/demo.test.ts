import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireBinary } from '../support/binaries.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';

let gateway: GatewayProcess;
let browser: Browser;

beforeAll(async () => {
  gateway = await startGateway({ args: ['--demo', '--drain-notice', '0s'] });
  browser = await chromium.launch({
    executablePath: await requireBinary('chromium'),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

afterAll(async () => {
  await browser.close();
  await gateway[Symbol.asyncDispose]();
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

  static async open(): Promise<Tab> {
    const tab = new Tab(await browser.newPage());
    await tab.page.goto(`http://localhost:${gateway.port}/`);
    return tab;
  }

  panel(room: string): Locator {
    return this.page.getByRole('region', { name: room, exact: true });
  }

  async join(room: string): Promise<void> {
    await this.page.getByLabel('Room', { exact: true }).fill(room);
    await this.page.getByRole('button', { name: 'Open', exact: true }).click();
    await this.panel(room).getByRole('status').getByText('open', { exact: true }).waitFor();
  }

  async send(room: string, text: string, binary = false): Promise<void> {
    await this.panel(room).getByLabel('a binary frame').setChecked(binary);
    await this.panel(room).getByLabel('Message', { exact: true }).fill(text);
    await this.panel(room).getByRole('button', { name: 'Send' }).click();
  }

  /** Resolves when the room has received a message with this text. */
  async sees(room: string, text: string | RegExp): Promise<void> {
    await this.panel(room).locator('li.in .payload').getByText(text).first().waitFor();
  }

  name(): Promise<string> {
    return this.page.locator('#name').innerText();
  }
}

test('two tabs chat in several rooms; one closes, and the other notices', async () => {
  const [one, other] = [await Tab.open(), await Tab.open()];
  for (const tab of [one, other]) for (const room of ['1', 'chat.general']) await tab.join(room);
  await one.sees('1', `${await other.name()} joined`);

  await one.send('1', '<b>hello</b> & goodbye');
  await other.sees('1', '<b>hello</b> & goodbye');
  await other.send('1', 'answer ✓');
  await one.sees('1', 'answer ✓');
  await one.send('chat.general', 'ff 00 41', true);
  await other.sees('chat.general', /^ff 00 41 /);
  expect(await other.panel('chat.general').locator('li.in').getByText('binary, 3 B').count()).toBe(1);
  expect(await other.panel('1').locator('li', { hasText: 'ff 00 41' }).count()).toBe(0);
  expect(await other.panel('1').locator('b').count()).toBe(0);
  expect(await one.panel('1').locator('.out').first().innerText()).toBe('2');
  expect(await one.panel('1').locator('.buffered').innerText()).toBe('0 B');

  await one.panel('1').getByRole('button', { name: 'Close room 1' }).click();
  await other.sees('1', `${await one.name()} left`);
  await one.panel('1').getByText('closed 1000').waitFor();
  await other.send('1', 'anybody?');
  await other.sees('1', 'anybody?');
  expect(await one.panel('1').getByText('anybody?').count()).toBe(0);
  await one.panel('1').getByRole('button', { name: 'Open again room 1' }).click();
  // It was here first: only now can the other have seen it come.
  await other.sees('1', `${await one.name()} joined`);

  const name = await one.name();
  await one.page.close({ runBeforeUnload: false });
  await other.sees('chat.general', `${name} left`);
  expect([...one.console, ...other.console]).toEqual([]);
  await other.page.close();
});

test('what a backend publishes over HTTP is there, and a wrong room name is refused on the page', async () => {
  const tab = await Tab.open();
  await tab.join('http');
  await fetch(gateway.http('/room/http'), { method: 'POST', body: 'from a backend' });
  await tab.sees('http', 'from a backend');
  await tab.page.getByLabel('Room', { exact: true }).fill('a..b');
  await tab.page.getByRole('button', { name: 'Open', exact: true }).click();
  expect(await tab.page.locator('#room:invalid').count()).toBe(1);
  expect(await tab.page.getByRole('region').count()).toBe(1);
  expect(tab.console).toEqual([]);
  await tab.page.close();
});

test('nothing from outside runs or is asked for', async () => {
  const page = await browser.newPage();
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

test('a gateway that drains is told with its code, and the page connects again', async () => {
  const second = await startGateway({ args: ['--demo', '--drain-notice', '0s'] });
  const page = await browser.newPage();
  await page.goto(`http://localhost:${second.port}/`);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  const panel = page.getByRole('region', { name: '1', exact: true });
  await panel.getByRole('status').getByText('open', { exact: true }).waitFor();
  second.signal('SIGTERM');
  await panel.getByText(/^closed with 1012/).waitFor();
  expect((await second.exited).code).toBe(0);
  await using third = await startGateway({ args: ['--demo', '--port', String(second.port)] });
  await panel.getByRole('status').getByText('open', { exact: true }).waitFor();
  expect(third.opsPort).not.toBe(second.opsPort);
  await page.close();
});
