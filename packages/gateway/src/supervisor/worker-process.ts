import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../config/faults.ts';
import type { DrainOrder } from '../drain/draining.ts';
import type { MetricReport } from '../metrics.ts';
import type { OpsCall, OpsReply } from '../ops/call.ts';
import { GivenCalls } from './calls.ts';
import type { WorkerAnswers, Assignment, WorkerOrder, WorkerQuestion, Word } from './messages.ts';
import { Silence } from './silence.ts';
import type { Ending, Worker } from './worker.ts';

/** What runs in the process; beside this file, as a source or as it was built. */
const PROGRAM = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));

interface OpenQuestion {
  readonly resolve: (answer: WorkerAnswers[WorkerQuestion] | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

/** A worker in a process of its own, spoken with over its IPC channel. */
export class WorkerProcess implements Worker {
  readonly slot: number;
  readonly serving: Promise<void>;
  readonly ended: Promise<Ending>;
  readonly #process: ChildProcess;
  readonly #silence = new Silence();
  readonly #calls = new GivenCalls((order) => this.#say(order));
  readonly #waiting = new Map<number, OpenQuestion>();
  readonly #served = Promise.withResolvers<void>();
  /** Why it could not start. */
  #failure: string | undefined;
  #questions = 0;
  #isServing = false;
  #last: readonly MetricReport[] | undefined;
  #isSilent = false;

  constructor(assignment: Assignment) {
    this.slot = assignment.slot;
    // Numbers that are none travel too.
    this.#process = fork(PROGRAM, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#process.on('message', (word) => this.#hear(word as Word));
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.serving = this.#served.promise;
    // Whoever waits is told; where nobody does, the end is told by `ended`.
    this.serving.catch(() => undefined);
    this.#process.once('error', (error) => this.#end(error.message, resolve));
    this.#process.once('exit', (code, signal) => {
      const end = (): void => this.#end(this.#isSilent ? 'silent' : (this.#failure ?? signal ?? `exit code ${code}`), resolve);
      // What it said last may still be on its way.
      if (this.#process.connected) this.#process.once('disconnect', end);
      else end();
    });
    this.#say({ type: 'start', assignment });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isServing(): boolean {
    return this.#isServing && this.#process.connected;
  }

  ask<Q extends WorkerQuestion>(question: Q, withinMs: number): Promise<WorkerAnswers[Q] | undefined> {
    const { promise, resolve } = Promise.withResolvers<WorkerAnswers[WorkerQuestion] | undefined>();
    const id = (this.#questions += 1);
    const give = (answer: WorkerAnswers[WorkerQuestion] | undefined): void => {
      this.#waiting.delete(id);
      resolve(answer);
    };
    this.#waiting.set(id, { resolve: give, timer: setTimeout(() => give(undefined), withinMs).unref() });
    this.#say({ type: 'ask', id, question });
    return promise as Promise<WorkerAnswers[Q] | undefined>;
  }

  /** Call it at an even pace. Ends the worker where it has been silent for too long, and asks it for a word. */
  look(passedMs: number, withinMs: number): void {
    if (this.#silence.look(passedMs)) {
      this.#isSilent = true;
      this.kill();
    } else void this.ask('readiness', withinMs);
  }

  call(call: OpsCall): Promise<OpsReply> {
    return this.#calls.give(call);
  }

  drain(order: DrainOrder): void {
    this.#say({ type: 'drain', ...order });
  }

  give(socket: Socket): boolean {
    if (!this.#process.connected) return false;
    this.#process.send({ type: 'connection' } satisfies WorkerOrder, socket, { keepOpen: false }, () => undefined);
    return true;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #say(order: WorkerOrder): void {
    // One whose channel is gone has ended, or will have been silent.
    if (this.#process.connected) this.#process.send(order, () => undefined);
  }

  #hear(word: Word): void {
    this.#silence.heard();
    switch (word.type) {
      case 'serving':
        this.#isServing = true;
        return this.#served.resolve();
      case 'failed':
        this.#failure = word.reason;
        return this.#served.reject(word.isUsage ? new ConfigError([word.reason]) : new Error(word.reason));
      case 'last':
        this.#last = word.metrics;
        return undefined;
      case 'answer':
        return this.#take(word.id, word.answer);
      default:
        return this.#calls.hear(word);
    }
  }

  #take(id: number, answer: WorkerAnswers[WorkerQuestion]): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    waiting.resolve(answer);
  }

  #end(how: string, resolve: (ending: Ending) => void): void {
    this.#served.reject(new Error(`a worker ended before it served: ${how}`));
    for (const { resolve: give, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      give(undefined);
    }
    this.#calls.end();
    resolve({ how, metrics: this.#last });
  }
}
