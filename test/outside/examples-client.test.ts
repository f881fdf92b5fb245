import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { metricsOf, sumOf } from '../support/metrics.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { newPage, startBrowser } from './support/browser.ts';
import { outputOf, ROOT } from './support/commands.ts';

const KEPT = 100;

/** Pages that show each of the rooms that `show` is told, as a list of its messages. */
const PAGES = [
  {
    name: 'React',
    example: 'react.ts',
    page: `
      import { createElement, StrictMode } from 'react';
      import { createRoot } from 'react-dom/client';
      import { useRoom } from './react.ts';

      function Room({ name }) {
        return createElement('ol', { 'aria-label': name }, useRoom(name).map(({ text, position }) => createElement('li', { key: position }, text)));
      }
      const root = createRoot(document.body.appendChild(document.createElement('main')));
      window.show = (...names) => root.render(createElement(StrictMode, {}, names.map((name, key) => createElement(Room, { name, key }))));`,
  },
  {
    name: 'Vue',
    example: 'vue.ts',
    page: `
      import { createApp, h, shallowRef } from 'vue';
      import { useRoom } from './vue.ts';

      const Room = {
        props: ['name'],
        setup({ name }) {
          const messages = useRoom(name);
          return () => h('ol', { 'aria-label': name }, messages.value.map(({ text }) => h('li', text)));
        },
      };
      const names = shallowRef([]);
      createApp({ render: () => names.value.map((name, n) => h(Room, { name, key: name + n })) }).mount(document.body.appendChild(document.createElement('main')));
      window.show = (...all) => (names.value = all);`,
  },
] as const;

let folder: string;
let browser: Browser;
let gateway: GatewayProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-components-'));
  await outputOf('npm', ['install', '--no-audit', '--no-fund', 'react@19', 'react-dom@19', 'vue@3'], { cwd: folder });
  gateway = await startGateway({ args: ['--demo', '--history', '[{rooms: "kept.>", size: 1000, age: 5m}]'] });
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A page as a bundler makes it, of an example as it stands. */
async function bundled(example: string, page: string): Promise<string> {
  await copyFile(join(ROOT, 'examples/client', example), join(folder, example));
  await writeFile(join(folder, `page-${example}`), page);
  const bundle = await rolldown({
    input: join(folder, `page-${example}`),
    platform: 'browser',
    resolve: { alias: { '@busgate/client': join(ROOT, 'packages/client/src/index.ts') } },
    transform: {
      define: {
        'process.env.NODE_ENV': '"development"',
        __VUE_OPTIONS_API__: 'true',
        __VUE_PROD_DEVTOOLS__: 'false',
        __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
      },
    },
  });
  const { output } = await bundle.generate({ format: 'iife', codeSplitting: false });
  await bundle.close();
  return output[0].code;
}

async function publish(room: string, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) expect((await fetch(gateway.http(`/room/${room}`), { method: 'POST', body: text })).status).toBe(202);
}

/** Has the page show the rooms. */
const show = (page: Page, ...rooms: readonly string[]): Promise<void> => page.evaluate(`void show(...${JSON.stringify(rooms)})`);

/** What the page shows, list by list. */
async function shown(page: Page): Promise<string[][]> {
  const lists = await page.locator('ol').all();
  return Promise.all(lists.map((list) => list.locator('li').allTextContents()));
}

/** Sessions of the gateway, and rooms that they are in. */
async function held(): Promise<readonly number[]> {
  const page = await metricsOf(gateway);
  return [sumOf(page, 'busgate_sessions'), sumOf(page, 'busgate_rooms')];
}

test.each(PAGES)('components of $name show rooms with their last messages, live, over one connection, and leave them', async ({ example, page: script }) => {
  const page = await newPage(browser);
  page.on('pageerror', (error) => expect.unreachable(error.message));
  // A page of the gateway without a script of its own.
  await page.goto(`http://localhost:${gateway.port}/demo.css`);
  await page.evaluate(await bundled(example, script));
  const [one, other] = [`kept.${example}.one`, `kept.${example}.other`];
  await publish(one, 'before');

  await show(page, one, one, other);
  await expect.poll(() => shown(page)).toEqual([['before'], ['before'], []]);
  await publish(one, 'live');
  await publish(other, 'elsewhere');
  await expect.poll(() => shown(page)).toEqual([['before', 'live'], ['before', 'live'], ['elsewhere']]);
  await expect.poll(held).toEqual([1, 2]);

  await show(page, other);
  await expect.poll(held).toEqual([1, 1]);
  await publish(one, ...Array.from({ length: KEPT }, (_, n) => `${n}`));
  await show(page, other, one);
  await expect.poll(async () => (await shown(page)).map((texts) => texts.length)).toEqual([1, KEPT]);
  await publish(one, 'newest');
  const newest = [...Array.from({ length: KEPT - 1 }, (_, n) => `${n + 1}`), 'newest'];
  await expect.poll(() => shown(page)).toEqual([['elsewhere'], newest]);
  await page.close();
});
