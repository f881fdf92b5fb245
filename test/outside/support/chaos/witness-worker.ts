import { readFile } from 'node:fs/promises';
import type { Child } from '../../../support/child.ts';

/** What a worker wrote when it began or ended to handle an event. `at`: microseconds of the machine's monotonic clock. */
export interface Witnessed {
  readonly at: number;
  /** As the client's path says. */
  readonly client: string;
  readonly event: 'connect' | 'receive' | 'disconnect';
  readonly edge: 'begin' | 'end';
  readonly text?: number;
  readonly code?: number;
  readonly resumed?: boolean;
  readonly undone?: number;
}

/** A worker that echoes, and witnesses in a file. */
export class WitnessWorker implements AsyncDisposable {
  /** Killed, and when at the latest: microseconds as above. */
  killedAt: number | undefined;
  /** Resolves when it reads its queue. */
  readonly reads: Promise<unknown>;
  readonly #child: Child;
  readonly #file: string;

  /** `sign`: what is in the line that it then writes. */
  constructor(child: Child, file: string, sign: string) {
    this.#child = child;
    this.#file = file;
    this.reads = child.lines.find((line) => line.includes(sign));
  }

  async kill(): Promise<void> {
    await this.#child.kill();
    this.killedAt = Number(process.hrtime.bigint() / 1000n);
  }

  /** Resolves when it has given everything back. */
  async stop(): Promise<void> {
    this.#child.signal('SIGTERM');
    const exit = await this.#child.exited;
    if (exit.code !== 0) throw new Error(`a worker that was to stop in order ended with ${exit.code ?? exit.signal}:\n${this.#child.lines.all.join('\n')}`);
  }

  async witnessed(): Promise<readonly Witnessed[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Witnessed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}
