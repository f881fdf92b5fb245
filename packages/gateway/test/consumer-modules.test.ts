import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const CONSUMER = import.meta.resolve('@busgate/consumer');
/** By file: what stands there, and what is said of it. */
const MODULES: readonly [what: string, file: string, source: string | undefined, words: RegExp][] = [
  ['is not there', 'none.ts', undefined, /none\.ts cannot be loaded: there is no such file$/],
  ['throws at import', 'throws.ts', "\nthrow new Error('no luck');\n", /throws\.ts cannot be loaded: no luck \(\/.*throws\.ts:2/],
  ['throws what is no error', 'odd.ts', "\nthrow 'no luck';\n", /odd\.ts cannot be loaded: no luck \(\/.*odd\.ts\)/],
  ['rejects at import', 'rejects.mjs', '\nawait null;\nnull.x;\n', /rejects\.mjs cannot be loaded: Cannot read .* \(\/.*rejects\.mjs:3/],
  ['is no JavaScript', 'syntax.mjs', 'const a = 1;\nconst b = ;\n', /syntax\.mjs cannot be loaded: Unexpected token ';' \(\/.*syntax\.mjs:2/],
  ['is no TypeScript', 'syntax.ts', 'const a: number = 1;\nconst b: = 2;\n', /syntax\.ts cannot be loaded: .*\(\/.*syntax\.ts:2/],
  ['has what TypeScript must be compiled for', 'enum.ts', '\nenum A { B }\n', /enum\.ts cannot be loaded: .*enum is not supported.*\(\/.*enum\.ts:2/],
  ['imports what is not there', 'imports.ts', "\n\nimport './gone.ts';\n", /imports\.ts cannot be loaded: Cannot find module.*\(\/.*imports\.ts:3/],
  [
    'exports nothing of use',
    'useless.ts',
    '\nexport default { connect() {} };\n',
    /useless\.ts must export as its default a Consumer class.*something else \(\/.*useless\.ts:2\)$/,
  ],
  ['exports no default', 'nameless.mts', 'export const chat: number = 1;\n', /nameless\.mts must export as its default .* no default \(\/.*nameless\.mts\)$/],
  [
    'gives a router what it cannot have',
    'router.ts',
    `import { router } from '${CONSUMER}';\nexport default router({ chat: 5 });\n`,
    /router\.ts cannot be loaded: a path must .*\(\/.*\/router\.ts:2/,
  ],
  [
    'awaits what never comes',
    'stuck.mjs',
    'await new Promise(() => {});\n',
    /stuck\.mjs cannot be loaded: what it awaits at its top level never comes \(\/.*stuck\.mjs\)/,
  ],
  ['is a folder', '.', undefined, /cannot be loaded: it is a folder/],
];

let folder: string;
/** What was said of each, by its file. */
let said: ReadonlyMap<string, string>;

// One process for all: the errors are those of Node's own loader, which a runner of tests is not.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-modules-'));
  for (const [, file, source] of MODULES) if (source !== undefined) await writeFile(join(folder, file), source);
  const files = MODULES.map(([, file]) => file);
  const loader = join(import.meta.dirname, 'modules/load.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@busgate/source', loader, ...files.map((file) => join(folder, file))]);
  const lines = stdout.trimEnd().split('\n');
  said = new Map(files.map((file, index) => [file, JSON.parse(lines[index] ?? '""') as string]));
});

afterAll(() => rm(folder, { recursive: true }));

describe('a module of consumers', () => {
  test.each(MODULES)('that %s is told with the file and the line', (_, file, __, words) => {
    expect(said.get(file)).toMatch(words);
  });
});
