import type { Socket } from 'node:net';
import { takeStray } from '@busgate/consumer/run';
import { isLayerError } from '@busgate/layer';
import { ConfigError } from '../config/faults.ts';
import type { DrainOrder } from '../drain/draining.ts';
import { Gateway } from '../gateway.ts';
import { STARTING } from '../health.ts';
import { StreamLog } from '../log.ts';
import type { MetricReport } from '../metrics.ts';
import { isReadable, openOutput } from '../stdio.ts';
import { readVersion } from '../version.ts';
import { TakenCalls } from './calls.ts';
import type { Assignment, WorkerOrder, WorkerQuestion, Word } from './messages.ts';
import { configOf } from './settings.ts';

/** One worker, in the process that its supervisor has forked for it. */
class Main {
  readonly #calls = new TakenCalls((word) => void say(word));
  #gateway: Gateway | undefined;
  #log: StreamLog | undefined;
  #isEnding = false;

  hear(order: WorkerOrder, socket: Socket | undefined): void {
    switch (order.type) {
      case 'start':
        return void this.#start(order.assignment);
      case 'ask':
        return void this.#answer(order.id, order.question);
      case 'drain':
        return this.end(order, 0);
      case 'connection':
        if (socket !== undefined) this.#accept(socket);
        return;
      default:
        this.#calls.hear(order, this.#gateway?.api);
    }
  }

  /** In order, once. */
  end(order: DrainOrder, code: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    void this.#end(order, code);
  }

  fail(error: Error): void {
    this.#log?.error('unexpected error: the worker stops', { error: error.message, stack: error.stack });
    this.end({ notice: false, leave: true }, 1);
  }

  async #start({ slot, settings, port, sharing }: Assignment): Promise<void> {
    const config = configOf(settings);
    const log = new StreamLog({ level: config.log.level, stream: openOutput(2), readable: isReadable(config.log.format), common: { worker: slot } });
    this.#log = log;
    try {
      this.#gateway = await Gateway.start({ config: { ...config, port }, log, version: readVersion(), door: sharing, opensOps: false });
      void say({ type: 'serving' });
    } catch (error) {
      const reason = isLayerError(error) ? `${error.code}: ${error.message}` : (error as Error).message;
      await say({ type: 'failed', reason, isUsage: error instanceof ConfigError || (isLayerError(error) && !['LAYER_AWAY', 'TIMEOUT'].includes(error.code)) });
      await this.#leave(1);
    }
  }

  async #answer(id: number, question: WorkerQuestion): Promise<void> {
    const answer = question === 'metrics' ? await this.#report() : (this.#gateway?.readiness() ?? STARTING);
    void say({ type: 'answer', id, answer });
  }

  #accept(socket: Socket): void {
    if (this.#gateway === undefined || this.#isEnding) socket.destroy();
    else this.#gateway.accept(socket);
  }

  async #end(order: DrainOrder, code: number): Promise<void> {
    await this.#gateway?.drain(order);
    await say({ type: 'last', metrics: await this.#report() });
    await this.#leave(code);
  }

  async #report(): Promise<readonly MetricReport[]> {
    return (await this.#gateway?.metrics.report()) ?? [];
  }

  async #leave(code: number): Promise<never> {
    await this.#log?.close();
    process.exit(code);
  }
}

/** Resolves when it is on its way, or nobody is there to hear it. */
function say(word: Word): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(word, undefined, undefined, () => resolve());
    else resolve();
  });
}

const main = new Main();
process.on('message', (order, socket) => main.hear(order as WorkerOrder, socket as Socket | undefined));
process.on('uncaughtException', (error) => {
  if (!takeStray(error)) main.fail(error);
});
// Nobody else's: the supervisor is told too, and says what is to be done. A terminal sends them to all processes.
for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => undefined);
process.on('SIGTERM', () => main.end({ notice: true }, 0));
// Nobody is there to look after it: what it has begun it ends.
process.once('disconnect', () => main.end({ notice: true }, 0));
