import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Collector } from './events.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly cwd?: string;
  /** Beside the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** `ignore` is an empty input. */
  readonly stdin?: 'ignore' | 'pipe';
}

/** Linux ends the child by itself when the test process is killed; elsewhere only an orderly exit does. */
const SETPRIV = '/usr/bin/setpriv';
const running = new Set<ChildProcess>();
const NEVER = new Int32Array(new SharedArrayBuffer(4));
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A child process whose lines are kept, and that is gone after its disposal. */
export class Child implements AsyncDisposable {
  /** Lines of both streams as they came, without the line end. */
  readonly lines = new Collector<string>();
  /** Lines of standard output alone. */
  readonly output = new Collector<string>();
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    const guarded = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', command, ...args] : [command, ...args];
    this.#process = spawn(guarded[0] as string, guarded.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    });
    running.add(this.#process);
    for (const stream of [this.#process.stdout, this.#process.stderr])
      createInterface({ input: stream as Readable }).on('line', (line) => this.lines.push(line));
    createInterface({ input: this.#process.stdout as Readable }).on('line', (line) => this.output.push(line));
    this.exited = this.#exit(command);
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Writes to the child's standard input, which must be a pipe. */
  write(text: string | Uint8Array): void {
    this.#process.stdin?.write(text);
  }

  /** Ends the child's standard input. */
  endInput(): void {
    this.#process.stdin?.end();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Returns when the child stands still after SIGSTOP: it stops a moment later, which is long enough for one more answer. */
  awaitStop(): void {
    while (this.alive && !standsStill(this.pid)) Atomics.wait(NEVER, 0, 0, 1);
  }

  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) await this.kill();
  }

  #exit(command: string): Promise<Exit> {
    const { promise, resolve } = Promise.withResolvers<Exit>();
    const ended = (exit: Exit, reason: string): void => {
      running.delete(this.#process);
      for (const lines of [this.lines, this.output]) lines.end(new Error(reason));
      resolve(exit);
    };
    this.#process.on('error', (error) => ended({ code: null, signal: null }, `${command} did not start: ${error.message}`));
    this.#process.on('close', (code, signal) => ended({ code, signal }, `${command} ended with ${code ?? signal}`));
    return promise;
  }
}

/** Whether no thread of a process can run; true also where it is gone, or the system does not tell. */
function standsStill(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  try {
    return readdirSync(tasks).every((thread) => /^State:\s+[TtZX]/m.test(readFileSync(`${tasks}/${thread}/status`, 'utf8')));
  } catch {
    return true;
  }
}
