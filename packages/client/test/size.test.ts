import { gzipSync } from 'node:zlib';
import { type RolldownOptions, rolldown } from 'rolldown';
import { expect, test } from 'vitest';

/** Bytes of the client as a page loads it: one file, minified, gzipped. */
async function sizeOf(options: RolldownOptions = {}): Promise<number> {
  const bundle = await rolldown({ input: new URL('../src/index.ts', import.meta.url).pathname, platform: 'browser', ...options });
  const { output } = await bundle.generate({ format: 'esm', minify: true, codeSplitting: false });
  await bundle.close();
  expect(output).toHaveLength(1);
  return gzipSync(output[0].code).length;
}

test('a page loads at most 6 KB: what a transport takes that is fallen back to is loaded with it', async () => {
  expect(await sizeOf({ external: [/\/transports\/(sse|poll)\.ts$/] })).toBeLessThanOrEqual(6 * 1024);
});

test('all of it together is at most 8 KB', async () => {
  expect(await sizeOf()).toBeLessThanOrEqual(8 * 1024);
});
