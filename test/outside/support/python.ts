import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireBinary } from '../../support/binaries.ts';
import { outcomeOf, outputOf } from './commands.ts';

const INSTALL = join(import.meta.dirname, '../../support/install.sh');

/** A virtual environment with packages of the Python registry, gone after its disposal. */
export class PythonEnvironment implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `packages` as pip takes them, with versions. */
  static async with(...packages: readonly string[]): Promise<PythonEnvironment> {
    const python = await requireBinary('python3');
    const folder = await mkdtemp(join(tmpdir(), 'busgate-python-'));
    const environment = new PythonEnvironment(folder);
    try {
      await makeEnvironment(python, folder);
      await outputOf(environment.command('pip'), ['install', '--quiet', '--disable-pip-version-check', '--retries', '10', ...packages]);
      return environment;
    } catch (error) {
      await environment[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where a command of the environment is. */
  command(name: string): string {
    return join(this.#folder, 'bin', name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Debian keeps the means to make an environment in a package of its own. */
async function makeEnvironment(python: string, folder: string): Promise<void> {
  if ((await outcomeOf(python, ['-m', 'venv', folder])).code === 0) return;
  await outputOf('bash', [INSTALL, 'python3-venv']);
  await outputOf(python, ['-m', 'venv', '--clear', folder]);
}
