import type { Socket } from 'node:net';
import type { DrainOrder } from '../drain/draining.ts';
import type { Gateway } from '../gateway.ts';
import type { MetricReport } from '../metrics.ts';
import type { OpsCall, OpsReply } from '../ops/call.ts';
import type { WorkerAnswers, WorkerQuestion } from './messages.ts';

/** How a worker ended. */
export interface Ending {
  /** For people. */
  readonly how: string;
  /** Its numbers at the end, where it could still say them. */
  readonly metrics: readonly MetricReport[] | undefined;
}

/** A whole gateway that shares the public port with others, seen by its supervisor. */
export interface Worker {
  readonly slot: number;
  /** Resolves once it takes clients; rejects with the reason where it cannot. */
  readonly serving: Promise<void>;
  readonly isServing: boolean;
  readonly ended: Promise<Ending>;
  /** Undefined where it has not answered within so many milliseconds. */
  ask<Q extends WorkerQuestion>(question: Q, withinMs: number): Promise<WorkerAnswers[Q] | undefined>;
  /** Has it answer a call of the ops API. */
  call(call: OpsCall): Promise<OpsReply>;
  /** It ends in order; {@link ended} tells when it has. */
  drain(order: DrainOrder): void;
  /** Gives it a connection that was accepted for it; false where it cannot be given any more. */
  give(socket: Socket): boolean;
  /** Ends it at once. */
  kill(): void;
}

/** The gateway of the supervisor's own process, which served alone until there was a supervisor. */
export class LocalWorker implements Worker {
  readonly slot: number;
  readonly serving = Promise.resolve();
  readonly isServing = true;
  readonly ended: Promise<Ending>;
  readonly #gateway: Gateway;
  readonly #end: (ending: Ending) => void;

  constructor(slot: number, gateway: Gateway) {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.slot = slot;
    this.ended = promise;
    this.#end = resolve;
    this.#gateway = gateway;
  }

  async ask<Q extends WorkerQuestion>(question: Q): Promise<WorkerAnswers[Q]> {
    const answer: WorkerAnswers[WorkerQuestion] = question === 'metrics' ? await this.#gateway.metrics.report() : this.#gateway.readiness();
    return answer as WorkerAnswers[Q];
  }

  call(call: OpsCall): Promise<OpsReply> {
    return this.#gateway.api.answer(call);
  }

  drain(order: DrainOrder): void {
    void this.#drain(order);
  }

  give(socket: Socket): boolean {
    this.#gateway.accept(socket);
    return true;
  }

  /** It ends with its process. */
  kill(): void {}

  async #drain(order: DrainOrder): Promise<void> {
    await this.#gateway.drain(order);
    this.#end({ how: 'drained', metrics: await this.#gateway.metrics.report() });
  }
}
