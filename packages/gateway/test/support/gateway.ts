import { openLayer, type ChannelLayer } from '@busgate/layer';
import { loadConfig } from '../../src/config.ts';
import { Gateway, type GatewayOptions } from '../../src/gateway.ts';

const OPEN = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: anyone}]';

export const SILENT = {
  dropped: 0,
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/** A gateway on memory, and the layer under it for tests that publish around it. */
export class TestGateway implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly layer: ChannelLayer;
  readonly port: number;
  /** Others on it are of the same fleet. */
  readonly bus: string;

  private constructor(gateway: Gateway, layer: ChannelLayer, bus: string) {
    this.bus = bus;
    this.gateway = gateway;
    this.layer = layer;
    this.port = gateway.listening.port;
  }

  /** `flags` as on the command line; without `--demo` or `--routes` every room is open, on free ports of loopback, whatever the Host. Gateways on the same `bus` are a fleet. */
  static async start(
    flags: readonly string[] = [],
    history: { rooms: string; size: number; ageMs: number }[] = [],
    bus: string = crypto.randomUUID(),
    log: GatewayOptions['log'] = SILENT,
  ): Promise<TestGateway> {
    const argv = ['--port', '0', '--ops-port', '0', ...(flags.includes('--demo') ? [] : ['--host', '127.0.0.1', '--routes', OPEN]), ...flags];
    const config = loadConfig({ argv, env: {}, readFile: () => '', descriptors: 20_000 });
    const layer = await openLayer(`memory:${bus}`, { history });
    return new TestGateway(await Gateway.start({ config, log, version: 'test', layer }), layer, bus);
  }

  /** The positions, where the room keeps a history; one after the other. */
  async publish(room: string, ...payloads: (string | Uint8Array)[]): Promise<string[]> {
    const positions: string[] = [];
    for (const payload of payloads) positions.push((await this.layer.publish(room, payload)).position ?? '');
    return positions;
  }

  ws(path: string): string {
    return `ws://127.0.0.1:${this.port}${path}`;
  }

  http(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Deliveries, once nothing moves: due, sent, dropped and queued must balance. */
  balance(): { due: number; sent: number; dropped: number; queued: number } {
    const { counters, state } = this.gateway;
    state.settle();
    const dropped = Object.values(counters.dropped).reduce((sum, count) => sum + count, 0);
    return { due: counters.due, sent: counters.sent, dropped, queued: state.queued };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.close();
    await this.layer.close();
  }
}

/** Resolves once `holds`, looked at in each turn of the loop. */
export async function until(holds: () => boolean, what: string, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not so after ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
