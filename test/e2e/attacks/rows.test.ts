import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const DOCS = join(ROOT, 'docs');
const ATTACKS = 122;
/** `attack 17: …`, `attacks 58, 59: …`, `(attack 101)`; in a table the number stands first in its row, or is a member, and the name has a place for it. */
const NAMED = /attacks? (\d+(?:, \d+)*)/g;
const IN_TABLE = /\[\s*(\d+), ['"]|\[\s*(\d+),\n|attack: (\d+),/g;
const TABLES = /from '(\.\.\/[^']*attacks\/[^']+)'/g;

interface Row {
  readonly attacks: readonly number[];
  /** Files with a test of each of its attacks. */
  readonly files: readonly string[];
  /** What is said in their place where it is not tried yet. */
  readonly shown: string;
}

let rows: readonly Row[];

beforeAll(async () => {
  const document = await readFile(join(DOCS, 'attacks.md'), 'utf8');
  rows = [...document.matchAll(/^\| ([\d, ]+?) +\|(?:[^|]*\|){2} *([^|]*?) *\|$/gm)].map(([, numbers = '', shown = '']) => ({
    attacks: numbers.split(', ').map(Number),
    files: [...shown.matchAll(/\]\(([^)]+)\)/g)].map(([, file = '']) => join(DOCS, file)),
    shown,
  }));
});

/** The numbers of the attacks that the names of a file's tests have. */
async function triedIn(file: string): Promise<ReadonlySet<number>> {
  const source = await readFile(file, 'utf8');
  const numbers = [...source.matchAll(NAMED)].flatMap(([, list = '']) => list.split(', ').map(Number));
  if (!/attack (?:%i|\$attack)/.test(source)) return new Set(numbers);
  const tables = await Promise.all([...source.matchAll(TABLES)].map(([, table = '']) => readFile(join(dirname(file), table), 'utf8')));
  for (const text of [source, ...tables]) for (const match of text.matchAll(IN_TABLE)) numbers.push(Number(match[1] ?? match[2] ?? match[3]));
  return new Set(numbers);
}

test('every attack has a row, in order', () => {
  expect(rows.flatMap(({ attacks }) => attacks)).toEqual(Array.from({ length: ATTACKS }, (_, index) => index + 1));
});

test('every row names a test of its number, in a file that has one, or says what it waits for', async () => {
  const wrong: string[] = [];
  for (const { attacks, files, shown } of rows) {
    if (files.length === 0 && !shown.startsWith('open: ')) wrong.push(`${attacks.join(', ')}: neither a test nor what it waits for`);
    for (const file of files) {
      const numbers = await triedIn(file);
      if (!attacks.every((attack) => numbers.has(attack))) wrong.push(`${attacks.join(', ')}: no test in ${file}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('no attack is called open that a test has the number of', async () => {
  const open = new Set(rows.flatMap(({ attacks, files }) => (files.length === 0 ? attacks : [])));
  const tried: string[] = [];
  for await (const file of glob('{test,packages}/**/*.test.ts', { cwd: ROOT, exclude: ['**/node_modules/**'] })) {
    for (const attack of await triedIn(join(ROOT, file))) if (open.has(attack)) tried.push(`${attack}: ${file}`);
  }
  expect(tried).toEqual([]);
});
