import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { expect, test } from 'vitest';

const LIMIT = 6 * 1024;

test('a page loads at most 6 KB: bundled, minified, gzipped', async () => {
  const bundle = await rolldown({ input: new URL('../src/index.ts', import.meta.url).pathname, platform: 'browser' });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  await bundle.close();
  expect(output).toHaveLength(1);
  expect(gzipSync(output[0].code).length).toBeLessThanOrEqual(LIMIT);
});
