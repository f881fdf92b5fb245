import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.ts';

/** Puts the Python package into the folder, as a wheel. It is built in an environment of its own: needs python3 with venv, and the registry for what builds it. */
export async function buildWheel(folder: string, root: string): Promise<void> {
  const environment = await mkdtemp(join(tmpdir(), 'busgate-wheel-'));
  try {
    await run('python3', ['-m', 'venv', environment], root);
    const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--wheel-dir', folder];
    await run(join(environment, 'bin/pip'), ['wheel', ...options, './packages/asgi'], root);
  } finally {
    await rm(environment, { recursive: true, force: true });
  }
}
