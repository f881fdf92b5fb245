import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Child } from '../child.ts';
import { GatewaySide } from './session.ts';
import type { Saw, Subject } from './subject.ts';

/** A gateway and workers on a queue of their own. */
export class Stage implements AsyncDisposable {
  readonly gateway: GatewaySide;
  readonly workers: Child[] = [];
  readonly #subject: Subject;
  readonly #layer: string;
  readonly #folder: string;

  private constructor(subject: Subject, layer: string, gateway: GatewaySide, folder: string) {
    this.#subject = subject;
    this.#layer = layer;
    this.gateway = gateway;
    this.#folder = folder;
  }

  static async open(subject: Subject, layer: string, workers: number): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'busgate-worker-'));
    const stage = new Stage(subject, layer, await GatewaySide.open(layer, `app.${randomBytes(6).toString('hex')}`), folder);
    await Promise.all(Array.from({ length: workers }, () => stage.start()));
    return stage;
  }

  /** One more worker, that reads. */
  async start(): Promise<Child> {
    const worker = await this.#subject.start(this.#layer, this.gateway.queue);
    this.workers.push(worker);
    return worker;
  }

  /** A handler that is told to `hold` by this waits until it is {@link Hold.let go}. */
  hold(): Hold {
    return new Hold(join(this.#folder, randomBytes(6).toString('hex')));
  }

  /** What applications were given of a session, in all workers. */
  saw(session: { readonly id: string }): readonly Saw[] {
    return this.workers.flatMap((worker) => sawIn(worker.output.all)).filter((saw) => saw.session === session.id);
  }

  /** Until an application was given that. */
  async sees(session: { readonly id: string }, holds: (saw: Saw) => boolean, what: string): Promise<void> {
    await Promise.any(this.workers.map((worker) => worker.output.until((lines) => sawIn(lines).some((saw) => saw.session === session.id && holds(saw)), what)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers) await worker[Symbol.asyncDispose]();
    await this.gateway[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Something that handlers wait for. */
class Hold {
  /** What a client says, for its handler to wait. */
  readonly word: string;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.word = `hold ${file}`;
  }

  async end(): Promise<void> {
    await writeFile(this.#file, '');
  }
}

function sawIn(lines: readonly string[]): readonly Saw[] {
  return lines.flatMap((line) => (line.startsWith('{"saw"') ? [JSON.parse(line) as Saw] : []));
}
