import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireBinary } from '../support/binaries.ts';
import { outcomeOf, outputOf, ROOT, type Outcome } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const PACKAGE = join(ROOT, 'packages/asgi');
const IN_PACKAGE = { cwd: PACKAGE };
/** Some three minutes, and several times that on a machine that is busy. */
const RUN_MS = 900_000;

const python = await PythonEnvironment.with(`${PACKAGE}[nats]`, ...(await requirements()));
const cases = (await outputOf(python.command('pytest'), ['--collect-only', '--quiet', '--no-header'], IN_PACKAGE))
  .split('\n')
  .filter((line) => line.includes('::'));
let run: Outcome;

beforeAll(async () => {
  await Promise.all([requireBinary('redis-server'), requireBinary('nats-server')]);
  run = await outcomeOf(python.command('pytest'), ['-rA', '--no-header', '--color=no', '--tb=short'], IN_PACKAGE);
}, RUN_MS);

afterAll(async () => {
  await python[Symbol.asyncDispose]();
});

test('the Python package is formatted, linted and typed', async () => {
  for (const [command, args] of [
    ['ruff', ['format', '--check', '.']],
    ['ruff', ['check', '.']],
    ['mypy', []],
  ] as const) {
    await expect(outcomeOf(python.command(command), args, IN_PACKAGE)).resolves.toMatchObject({ code: 0 });
  }
});

test.each(cases)('%s', (name) => {
  expect(run.stdout.split('\n').includes(`PASSED ${name}`), run.stdout + run.stderr).toBe(true);
});

/** What the tests need beside the package, with versions. */
async function requirements(): Promise<readonly string[]> {
  return (await readFile(join(PACKAGE, 'tests/requirements.txt'), 'utf8')).split('\n').filter((line) => line !== '');
}
