import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireBinary } from '../../support/binaries.ts';

const SOURCES = join(import.meta.dirname, '../native');

/** A folder for one run of the bench, gone after its disposal, and in it the program of `native/`: the load and the floor. */
export class Workshop implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Workshop> {
    const compiler = await requireBinary('gcc', '; the load generator is written in C');
    const workshop = new Workshop(await mkdtemp(join(tmpdir(), 'busgate-bench-')));
    const sources = (await readdir(SOURCES)).filter((name) => name.endsWith('.c')).map((name) => join(SOURCES, name));
    await promisify(execFile)(compiler, ['-std=gnu17', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-o', workshop.program, ...sources]);
    return workshop;
  }

  get program(): string {
    return join(this.folder, 'busgate-bench');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
