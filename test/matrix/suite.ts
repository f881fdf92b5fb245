import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1_048_576;

/** What came of the tests on one server. */
export interface Row {
  readonly server: string;
  readonly outcome: string;
}

/** Runs tests of one of vitest's projects and shows what they say; resolves with how many passed, and failed. */
export async function tally(project: string, files: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, ...files];
  const options = { env: { ...process.env, ...env, NO_COLOR: '1' }, maxBuffer: MAX_OUTPUT };
  const { stdout } = await run(process.execPath, args, options).catch((error: { stdout: string }) => error);
  console.log(stdout);
  return /Tests\s+(.*)/.exec(stdout)?.[1] ?? 'did not run';
}

/** While `body` runs, programs are looked for in a folder of its own first: the servers that tests start are those that it puts there. */
export async function withPrograms<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'busgate-matrix-'));
  const path = process.env['PATH'] ?? '';
  process.env['PATH'] = `${folder}${delimiter}${path}`;
  try {
    return await body(folder);
  } finally {
    process.env['PATH'] = path;
    await rm(folder, { recursive: true, force: true });
  }
}

/** The row of a server that could not be tried. */
export function missing(server: string, error: unknown): Row {
  return { server, outcome: `- | not to be had: ${String(error).split('\n')[0]}` };
}
