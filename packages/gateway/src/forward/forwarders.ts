import type { EventsRouteConfig } from '../config/event-route.ts';
import type { ForwardFailure } from './answers.ts';
import { Forwarder, type ForwarderContext } from './forwarder.ts';

/** The forwarders of a gateway: one for each route that has a backend. */
export class Forwarders {
  readonly #context: Omit<ForwarderContext, 'failed'>;
  readonly #waiting: (() => Forwarder)[] = [];
  #running: readonly Forwarder[] = [];

  constructor(context: Omit<ForwarderContext, 'failed'>) {
    this.#context = context;
  }

  /** Forwards this route's events, if it has a backend, once started; failures are counted in `counts`. */
  add({ queue, backend, acceptTimeout, handlerTimeout }: EventsRouteConfig, counts: Record<ForwardFailure, number>): void {
    if (backend === undefined) return;
    const failed = (failure: ForwardFailure): void => void (counts[failure] += 1);
    this.#waiting.push(() => new Forwarder({ queue, ...backend, acceptTimeout, handlerTimeout }, { ...this.#context, failed }));
  }

  start(): void {
    this.#running = this.#waiting.splice(0).map((open) => open());
  }

  /** Takes nothing more; resolves when nothing is under way. */
  async close(): Promise<void> {
    await Promise.all(this.#running.map((forwarder) => forwarder.close()));
  }
}
