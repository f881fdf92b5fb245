import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1_048_576;

/** The suite is a program of Python 2.7, and these are what it was last released for. */
const PACKAGES = ['autobahntestsuite==25.10.1', 'autobahn==0.10.9', 'Twisted==19.10.0'];

/** What the fuzzing client found in one case. */
export interface Finding {
  readonly agent: string;
  readonly id: string;
  readonly behavior: string;
  readonly behaviorClose: string;
  readonly remoteCloseCode: number | null;
}

export interface Subject {
  readonly agent: string;
  readonly url: string;
}

/** Autobahn's fuzzing client, in a folder of its own that is gone after its disposal. */
export class FuzzingClient implements AsyncDisposable {
  readonly #python: string;
  readonly #folder: string;

  private constructor(python: string, folder: string) {
    this.#python = python;
    this.#folder = folder;
  }

  static async install(): Promise<FuzzingClient> {
    const python = findPython();
    const folder = await mkdtemp(join(tmpdir(), 'busgate-autobahn-'));
    const client = new FuzzingClient(python, folder);
    try {
      await run(
        python,
        ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '10', '--target', join(folder, 'packages'), ...PACKAGES],
        {
          maxBuffer: MAX_OUTPUT,
        },
      );
      // Installed side by side, the parts of this name space do not find each other without it.
      await writeFile(join(folder, 'packages/zope/__init__.py'), '');
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Puts the subjects through `cases` (`1.*`, `9.3.1`), one after the other, and tells what was found, case by case. */
  async run(subjects: readonly Subject[], cases: readonly string[]): Promise<readonly Finding[]> {
    const reports = join(this.#folder, 'reports');
    const specification = join(this.#folder, 'fuzzingclient.json');
    await writeFile(specification, JSON.stringify({ outdir: reports, servers: subjects, cases, 'exclude-cases': [] }));
    const options = { cwd: this.#folder, env: { ...process.env, PYTHONPATH: join(this.#folder, 'packages') }, maxBuffer: MAX_OUTPUT };
    await run(this.#python, ['-m', 'autobahntestsuite.wstest', '-m', 'fuzzingclient', '-s', specification], options);
    const index = JSON.parse(await readFile(join(reports, 'index.json'), 'utf8')) as Record<string, Record<string, Omit<Finding, 'agent' | 'id'>>>;
    return Object.entries(index).flatMap(([agent, found]) => Object.entries(found).map(([id, finding]) => ({ ...finding, agent, id })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function findPython(): string {
  const versions = join(process.env['PYENV_ROOT'] ?? join(homedir(), '.pyenv'), 'versions');
  const ofPyenv = existsSync(versions) ? readdirSync(versions).filter((version) => version.startsWith('2.7')) : [];
  const folders = [...ofPyenv.map((version) => join(versions, version, 'bin')), ...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin'];
  // A shim of pyenv's is there for every version, and runs only the one that is chosen.
  const found = folders.filter((folder) => !folder.endsWith('/shims')).map((folder) => join(folder, 'python2.7'));
  const python = found.find((file) => existsSync(file));
  if (python === undefined) throw new Error("Autobahn's test suite needs Python 2.7, which is not here: pyenv install 2.7.18");
  return python;
}
