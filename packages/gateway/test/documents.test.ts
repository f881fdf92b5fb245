import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { DOCUMENTS } from './documents/index.ts';

test.each(DOCUMENTS.map((document) => [basename(document.url.pathname), document] as const))(
  'docs/%s says what the source says: npm run docs',
  (_, { url, content }) => {
    expect(readFileSync(url, 'utf8')).toBe(content());
  },
);
