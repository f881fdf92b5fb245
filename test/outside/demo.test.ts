import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireBinary } from '../support/binaries.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';

/** As long as a busy machine may take to start a browser, and its page to show what it must. */
const PATIENCE_MS = 120_000;
const ARGS = ['--demo', '--drain-notice', '0s'];

let gateway: GatewayProcess;
let browser: Browser;

beforeAll(async () => {
  gateway = await startGateway({ args: ARGS });
  browser = await chromium.launch({
    executablePath: await requireBinary('chromium'),
    timeout: PATIENCE_MS,
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
  await browser?.close();
  await gateway?.[Symbol.asyncDispose]();
});

async function newPage(): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}

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
    const tab = new Tab(await newPage());
    await tab.page.goto(`http://localhost:${port}/`);
    return tab;
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

  async send(room: string, text: string, binary = false): Promise<void> {
    await this.panel(room).getByLabel('a binary frame').setChecked(binary);
    await this.panel(room).getByLabel('Message', { exact: true }).fill(text);
    await this.panel(room).getByRole('button', { name: 'Send' }).click();
  }

  /** Resolves when the room has received so many messages with this text. */
  async sees(room: string, text: string | RegExp, times = 1): Promise<void> {
    const lines = this.panel(room).locator('li.in .payload').getByText(text);
    await lines.nth(times - 1).waitFor();
  }

  /** Resolves when a figure of the room is this one: the page shows some of them only a moment later. */
  async counts(room: string, figure: 'in' | 'out' | 'buffered', value: string): Promise<void> {
    await this.panel(room).locator(`dd.${figure}`).getByText(value, { exact: true }).waitFor();
  }

  /** Keeps all that the room's figure of what is buffered is, from now on. */
  async watchBuffered(room: string): Promise<() => Promise<unknown>> {
    await this.page.evaluate(`{
      const panel = [...document.querySelectorAll('.panel')].find((each) => each.querySelector('h2').textContent === '${room}');
      const figure = panel.querySelector('.buffered');
      window.shown = [figure.textContent];
      new MutationObserver(() => window.shown.push(figure.textContent)).observe(figure, { childList: true });
    }`);
    return () => this.page.evaluate('window.shown');
  }

  name(): Promise<string> {
    return this.page.locator('#name').innerText();
  }
}

test('two tabs chat in several rooms; one leaves, and the other notices', async () => {
  const [one, other] = [await Tab.open(), await Tab.open()];
  for (const tab of [one, other]) for (const room of ['1', 'chat.general']) await tab.join(room);
  await one.sees('1', `${await other.name()} joined`);

  await one.counts('1', 'buffered', '0 B');
  const buffered = await one.watchBuffered('1');
  await one.send('1', '<b>hello</b> & goodbye');
  await one.counts('1', 'buffered', '0 B');
  expect(await buffered()).toEqual(['0 B', '22 B', '0 B']);
  await one.counts('1', 'out', '2');
  await other.sees('1', '<b>hello</b> & goodbye');
  await other.send('1', 'answer ✓');
  await one.sees('1', 'answer ✓');
  await one.send('chat.general', 'ff 00 41', true);
  await other.sees('chat.general', /^ff 00 41 /);
  await other.panel('chat.general').locator('li.in').getByText('binary, 3 B').waitFor();

  await one.panel('1').getByRole('button', { name: 'Close room 1' }).click();
  await other.sees('1', `${await one.name()} left`);
  await one.panel('1').getByText('closed 1000').waitFor();
  await other.send('1', 'anybody?');
  await other.sees('1', 'anybody?');
  await one.panel('1').getByRole('button', { name: 'Open again room 1' }).click();
  // It was here first: only now can the other have seen it come.
  await other.sees('1', `${await one.name()} joined`);
  await one.sees('1', `${await one.name()} joined`, 2);
  expect(await one.panel('1').getByText('anybody?').count()).toBe(0);
  expect(await other.panel('1').locator('li', { hasText: 'ff 00 41' }).count()).toBe(0);
  expect(await other.panel('1').locator('b').count()).toBe(0);

  const name = await one.name();
  // A browser gives a tab that it closes half a second for its goodbye, which is little on a busy machine; one that goes elsewhere has all it needs.
  await one.page.goto('about:blank');
  await other.sees('chat.general', `${name} left`);
  await other.sees('1', `${name} left`, 2);
  expect([...one.console, ...other.console]).toEqual([]);
  for (const { page } of [one, other]) await page.close();
});

test('what a backend publishes over HTTP is there, and a wrong room name is refused on the page', async () => {
  const tab = await Tab.open();
  await tab.join('http');
  const answer = await fetch(gateway.http('/room/http'), { method: 'POST', body: 'from a backend' });
  expect(answer.status).toBe(202);
  await tab.sees('http', 'from a backend');
  await tab.page.getByLabel('Room', { exact: true }).fill('a..b');
  await tab.page.getByRole('button', { name: 'Open', exact: true }).click();
  await tab.page.locator('#room:invalid').waitFor();
  expect(await tab.page.getByRole('region').count()).toBe(1);
  expect(tab.console).toEqual([]);
  await tab.page.close();
});

test('nothing from outside runs or is asked for', async () => {
  const page = await newPage();
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
  await using second = await startGateway({ args: ARGS });
  const tab = await Tab.open(second.port);
  await tab.join('1');
  second.signal('SIGTERM');
  await tab
    .panel('1')
    .getByText(/^closed with 1012/)
    .waitFor();
  expect((await second.exited).code).toBe(0);
  await using _third = await startGateway({ args: ['--demo', '--port', String(second.port)] });
  await tab.opens('1');
  await tab.send('1', 'here again');
  await tab.sees('1', 'here again');
  await tab.page.close();
});
