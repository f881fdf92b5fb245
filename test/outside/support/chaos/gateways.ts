import { type GatewayProcess, startGateway } from '../../../support/processes.ts';

/** A machine that stands still for half a minute must not look like a handler that does. */
const ROUTES = "[{path: '/app/*', kind: events, queue: app, handler_timeout: 5m}]";

/** Two gateways with a route of events, of which one is killed and replaced. */
export class Gateways implements AsyncDisposable {
  readonly alive: GatewayProcess[] = [];
  /** Origins of those that were killed. */
  readonly killed = new Set<string>();
  readonly #layer: string;

  private constructor(layer: string) {
    this.#layer = layer;
  }

  static async start(layer: string): Promise<Gateways> {
    const gateways = new Gateways(layer);
    await Promise.all([gateways.#add(), gateways.#add()]);
    return gateways;
  }

  /** Of one of them. */
  get origin(): string {
    return this.alive[Math.floor(Math.random() * this.alive.length)]?.ws('') ?? '';
  }

  async replaceOne(): Promise<void> {
    const dying = this.alive.shift();
    if (dying !== undefined) this.killed.add(dying.ws(''));
    await dying?.kill();
    await this.#add();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const gateway of this.alive) await gateway[Symbol.asyncDispose]();
  }

  async #add(): Promise<void> {
    this.alive.push(await startGateway({ args: ['--layer', this.#layer, '--routes', ROUTES] }));
  }
}

/** What the metrics of a gateway say of its events, over all routes and reasons. */
export interface Sums {
  readonly due: number;
  readonly queued: number;
  readonly failed: number;
  readonly handled: number;
  readonly undone: number;
  readonly inFlight: number;
}

export async function sumsOf(gateway: GatewayProcess): Promise<Sums> {
  const lines = (await (await fetch(gateway.ops('/metrics'))).text()).split('\n');
  const sum = (name: string): number =>
    lines.filter((line) => line.startsWith(`${name}{`)).reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0);
  return {
    due: sum('busgate_events_due_total'),
    queued: sum('busgate_events_queued_total'),
    failed: sum('busgate_events_failed_total'),
    handled: sum('busgate_events_handled_total'),
    undone: sum('busgate_events_undone_total'),
    inFlight: sum('busgate_events_in_flight'),
  };
}

export function balance({ due, queued, failed, handled, undone, inFlight }: Sums): boolean {
  return due > 0 && due === queued + failed && queued === handled + undone && inFlight === 0;
}
