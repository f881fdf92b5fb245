import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { DOCUMENTS } from './documents/index.ts';

const ROOT = join(import.meta.dirname, '../../..');
const WRITTEN = [
  ...readdirSync(ROOT),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
  'test/bench/README.md',
].filter((name) => name.endsWith('.md'));

test.each(DOCUMENTS.map((document) => [basename(document.url.pathname), document] as const))(
  'docs/%s says what the source says: npm run docs',
  (_, { url, content }) => {
    expect(readFileSync(url, 'utf8')).toBe(content());
  },
);

/** Tests that a document names as what holds it to its word, each by the title behind the link's file. */
test.each(WRITTEN)('every test that %s names is there', (name) => {
  const named = [...readFileSync(join(ROOT, name), 'utf8').matchAll(/\]\(([^)#\s]+\.test\.ts) (?:'([^']+)'|"([^"]+)")\)/g)];
  const missing = named.filter(([, file = '', ...titles]) => {
    const text = readFileSync(join(ROOT, dirname(name), file), 'utf8');
    return !titles.some((title) => title !== undefined && text.includes(`'${title}'`));
  });
  expect(missing.map(([link]) => link)).toEqual([]);
});

test.each(WRITTEN)('every file that %s points to is there', (name) => {
  const links = [...readFileSync(join(ROOT, name), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, link = '']) => link);
  expect(links.filter((link) => !existsSync(join(ROOT, dirname(name), link)))).toEqual([]);
});

test('every promise of SECURITY.md names a test that tries it', () => {
  const [, promises = ''] = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8').split('## What is promised before clients');
  const each = promises.split('\n').filter((line) => line.startsWith('- **'));
  expect(each.length).toBeGreaterThanOrEqual(6);
  expect(each.filter((line) => !/\.test\.ts\)/.test(line))).toEqual([]);
});

test('every claim on another server names its source', () => {
  const text = readFileSync(join(ROOT, 'docs/comparison.md'), 'utf8');
  const cells = [...text.matchAll(/^\| \*\*(?!Busgate)[^|]+\|(.*)\|$/gm)].flatMap(([, row = '']) => row.split('|'));
  const claims = [...text.matchAll(/^- .*(?:\n {2}.*)*/gm)].map(([claim]) => claim);
  expect([cells.length, claims.length]).toEqual([28, expect.toSatisfy((count: number) => count > 25)]);
  expect([...cells, ...claims].filter((claim) => !/\]\(https:/.test(claim))).toEqual([]);
});
