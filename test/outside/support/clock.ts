import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireBinary } from '../../support/binaries.ts';

const run = promisify(execFile);

/** A wall clock of processes that a test sets (libfaketime); the clock that never goes back runs on. */
export class SettableClock implements AsyncDisposable {
  /** What a process that goes by it has in its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #file: string;

  private constructor(library: string, folder: string) {
    this.#folder = folder;
    this.#file = join(folder, 'clock');
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      TZ: 'UTC',
    };
  }

  /** It is right until it is set. */
  static async make(): Promise<SettableClock> {
    await requireBinary('faketime');
    const { stdout } = await run('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1']);
    const clock = new SettableClock(stdout.trim(), await mkdtemp(join(tmpdir(), 'busgate-clock-')));
    await clock.move('+0');
    return clock;
  }

  /** So far before or after the right time: `+3600` (seconds), `-2d`. */
  async move(offset: string): Promise<void> {
    await writeFile(this.#file, offset);
  }

  /** It stands still, at a second since 1970. */
  async stop(seconds: number): Promise<void> {
    await this.move(new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' '));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
