import { join } from 'node:path';
import { Child } from '../../../support/child.ts';
import { runBusgate } from '../../../support/processes.ts';
import { WitnessWorker } from './witness-worker.ts';

const MODULES = join(import.meta.dirname, '../../modules');
/** Read at the same time. */
const WORKERS = 4;

/** What there is to run workers with. */
export interface Workplace {
  readonly layer: string;
  /** For what they witness. */
  readonly folder: string;
  /** The command `busgate-asgi`. */
  readonly asgi: string;
}

/** Workers of the queue `app`, of both kinds: as many as there are to be, save while one of them is replaced. */
export class Workforce implements AsyncDisposable {
  /** Those, too, that have ended. */
  readonly all: WitnessWorker[] = [];
  readonly #place: Workplace;
  readonly #working: WitnessWorker[] = [];
  readonly #stopping: Promise<void>[] = [];

  private constructor(place: Workplace) {
    this.#place = place;
  }

  static async start(place: Workplace): Promise<Workforce> {
    const workforce = new Workforce(place);
    await workforce.fill();
    return workforce;
  }

  /** When the last one was killed: microseconds of the machine's monotonic clock. */
  get lastKillAt(): number {
    return Math.max(...this.all.map(({ killedAt }) => killedAt ?? 0));
  }

  /** Others take the places of those that ended. */
  async fill(): Promise<void> {
    const added = Array.from({ length: WORKERS - this.#working.length }, () => this.#hire());
    await Promise.all(added.map(({ reads }) => reads));
    this.#working.push(...added);
  }

  async killOne(): Promise<void> {
    await this.#anyone()?.kill();
  }

  /** In order: it gives back what it has, which {@link stopped} waits for. */
  stopOne(): void {
    const worker = this.#anyone();
    if (worker !== undefined) this.#stopping.push(worker.stop());
  }

  /** Resolves when those that were to stop have stopped. */
  async stopped(): Promise<void> {
    await Promise.all(this.#stopping);
  }

  /** Stops those that are left in order, one after the other; `before` each. */
  async close(before: () => Promise<unknown>): Promise<void> {
    for (const worker of this.#working) {
      await before();
      await worker.stop();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.all) await worker[Symbol.asyncDispose]();
  }

  #anyone(): WitnessWorker | undefined {
    return this.#working.splice(Math.floor(Math.random() * this.#working.length), 1)[0];
  }

  #hire(): WitnessWorker {
    const { layer, folder, asgi } = this.#place;
    const isTypeScript = this.all.length % 2 === 0;
    const file = join(folder, `worker-${this.all.length}`);
    const [env, common] = [{ WITNESS: file }, ['--layer', layer, '--queue', 'app']];
    const worker = isTypeScript
      ? new WitnessWorker(runBusgate(['work', join(MODULES, 'witness.ts'), ...common], { env }), file, 'working')
      : new WitnessWorker(new Child(asgi, ['witness:application', '--app-dir', MODULES, ...common], { env }), file, 'Reading queue');
    this.all.push(worker);
    return worker;
  }
}
