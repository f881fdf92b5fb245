import { join } from 'node:path';
import { startRedis } from '../../support/brokers.ts';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import type { Cores } from '../rig/cores.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import type { Case } from './cases.ts';
import type { Cost, Orders } from './worker.ts';

const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');
const WORKER = join(import.meta.dirname, 'worker.ts');
const SOURCES = '--conditions=@busgate/source';
/** Pings cost by the socket and second, not by the delivery: here there are none. */
const SERVE = ['serve', '--demo', '--log-level', 'error', '--heartbeat-interval', '1h', '--limits-rooms-total', '200000'];

/** One case, ready to be measured again and again: its gateways, on a core that they share with no load, and its clients. */
export class Subject implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #children: Child[] = [];

  static async start(cores: Cores, grown: Case): Promise<Subject> {
    const subject = new Subject();
    try {
      await subject.#start(cores, grown);
      return subject;
    } catch (error) {
      await subject[Symbol.asyncDispose]();
      throw error;
    }
  }

  async measure(): Promise<Cost> {
    this.#children.at(-1)?.write('\n');
    return JSON.parse(await this.#said()) as Cost;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #start(cores: Cores, grown: Case): Promise<void> {
    const redis = this.#stack.use(await startRedis({ args: ['--appendonly', 'no'] }));
    await pin(cores.load, redis.pid);
    const gateways: GatewayProcess[] = [];
    while (gateways.length < grown.gateways) gateways.push(await this.#gateway(cores.server, redis.url));
    const orders: Orders = { ...grown, ports: gateways.map(({ port }) => port), pids: gateways.map(({ pid }) => pid), redisPort: redis.port };
    this.#children.push(this.#stack.use(startPinned(cores.load, process.execPath, [SOURCES, WORKER, JSON.stringify(orders)], { stdin: 'pipe' })));
    while ((await this.#said()) !== 'ready');
  }

  async #gateway(core: number, layer: string): Promise<GatewayProcess> {
    const [port, opsPort] = [await freePort(), await freePort()];
    const args = [SOURCES, GATEWAY, ...SERVE, '--layer', layer, '--port', port, '--ops-port', opsPort];
    const child = this.#stack.use(startPinned(core, process.execPath, args));
    this.#children.push(child);
    const gateway = new GatewayProcess(child, port, opsPort);
    await gateway.answers('/readyz');
    return gateway;
  }

  /** The next line of the load. */
  async #said(): Promise<string> {
    try {
      return (await this.#children.at(-1)?.output.next()) ?? '';
    } catch (error) {
      throw new Error(`the load said nothing:\n${this.#children.flatMap(({ lines }) => lines.all.slice(-10)).join('\n')}`, { cause: error });
    }
  }
}
