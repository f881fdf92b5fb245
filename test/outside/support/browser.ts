import { type Browser, chromium, type Page } from 'playwright-core';
import { requireBinary } from '../../support/binaries.ts';

/** As long as a busy machine may take to start a browser, and its page to show what it must. */
const PATIENCE_MS = 120_000;

/** Chromium without a window, with the back/forward cache that people have. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: await requireBinary('chromium'),
    timeout: PATIENCE_MS,
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
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
}

export async function newPage(browser: Browser): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}
