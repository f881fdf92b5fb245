import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asRouter, type Router, Worker } from '@busgate/consumer/run';
import { openLayer } from '@busgate/layer';
import { RawClient, request, type HttpAnswer } from '../../packages/gateway/test/support/raw.ts';
import { KEY } from '../../packages/gateway/test/support/operator.ts';
import { JWT } from '../../packages/gateway/test/support/tokens.ts';
import echo from '../e2e/modules/echo.ts';
import { type Census, INSPECTED, Inspector } from '../support/inspector.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { type Counts, type SoakBroker, soakNats, soakRedis } from './brokers.ts';

export type LayerName = 'memory' | 'redis' | 'nats';

const BROKERS: Readonly<Record<LayerName, (() => Promise<SoakBroker>) | undefined>> = { memory: undefined, redis: soakRedis, nats: soakNats };
const ECHO = join(import.meta.dirname, '../e2e/modules/echo.ts');
/** What is let go late has gone after so long where nothing else is done: rooms are, at most twice 5 s after the last one has left, and then another second or two. */
const LET_GO_MS = 15_000;
/** The same on a machine that is busy. */
const PATIENCE_MS = 60_000;
const LOOK_AGAIN_MS = 500;
/** What the compiler makes and lets go comes and goes by tens of thousands of bytes: so it makes less, and keeps it. */
const COMPILING_LESS = ['--no-flush-bytecode', '--no-opt', '--no-maglev', '--no-sparkplug']
  .map((flag) => `process.getBuiltinModule('node:v8').setFlagsFromString('${flag}')`)
  .join(';');
/** All that is off until it is set; what is done as fast as it goes passes that of publishes. */
const LIMITS = {
  'limits-address-sessions': '1000',
  'limits-address-handshakes': '10000/s',
  'limits-user-sessions': '100',
  'rate-frames': '1000/s',
  'rate-bytes': '10MiB/s',
  'rate-joins': '100/s',
  'rate-publishes': '1/s burst 20',
};
/** What is said of a broker that is gone, which is no error of the gateway. */
const BROKER_FAULT = '"message":"a fault of the broker"';
/** What a broker holds for its clients. */
const AT_BROKER = / at the broker$/;
/** Gauges that say how things are, and nothing of what is held. */
const NO_HOLDINGS = /^busgate_(?:info|memory|sessions_limit|layer_)/;

/** A gateway in a process of its own on a broker, a worker for its events, and what they hold. */
export class SoakStage implements AsyncDisposable {
  readonly layer: LayerName;
  readonly gateway: GatewayProcess;
  readonly broker: SoakBroker | undefined;
  readonly inspector: Inspector;
  readonly #stack: AsyncDisposableStack;
  #least: Counts = {};

  private constructor(layer: LayerName, gateway: GatewayProcess, broker: SoakBroker | undefined, inspector: Inspector, stack: AsyncDisposableStack) {
    this.layer = layer;
    this.gateway = gateway;
    this.broker = broker;
    this.inspector = inspector;
    this.#stack = stack;
  }

  static async start(layer: LayerName): Promise<SoakStage> {
    await using stack = new AsyncDisposableStack();
    const broker = await BROKERS[layer]?.();
    if (broker !== undefined) stack.use(broker);
    const gateway = stack.use(await startGateway({ args: argsOf(broker), env: { NODE_OPTIONS: INSPECTED } }));
    const inspector = stack.use(await Inspector.of(gateway));
    await inspector.run(COMPILING_LESS);
    if (broker !== undefined) {
      const own = stack.use(await openLayer(broker.direct));
      const worker = new Worker({ layer: own, router: asRouter(echo) as Router, queue: 'work', log: { warn: () => undefined, error: () => undefined } });
      worker.start();
      stack.defer(() => worker.stop());
    }
    return new SoakStage(layer, gateway, broker, inspector, stack.move());
  }

  get port(): number {
    return this.gateway.port;
  }

  /** One request on a connection of its own. */
  ask(line: string, headers: readonly string[] = [], body = ''): Promise<HttpAnswer> {
    return asked(this.port, line, headers, body);
  }

  /** The same at the ops port, with its key. */
  operate(line: string, body = ''): Promise<HttpAnswer> {
    return asked(this.gateway.opsPort, line, [`Authorization: Bearer ${KEY}`], body);
  }

  /**
   * Waits until all is let go that is let go late, and notes what there is: later nothing else may be left. Everything must have been done before. While nothing is done the broker is asked
   * for no more, but by who was cut off from it and is back: what was noted before that is less than what there is, and counts no more.
   */
  async begin(): Promise<Census> {
    const begun = performance.now();
    let least: Record<string, number> = { ...(await this.#counts()) };
    for (let end = begun + LET_GO_MS; performance.now() < end; await delay(LOOK_AGAIN_MS)) {
      const counts = Object.entries(await this.#counts());
      if (counts.some(([name, count]) => AT_BROKER.test(name) && count > (least[name] ?? 0))) {
        least = {};
        end = Math.min(performance.now() + LET_GO_MS, begun + PATIENCE_MS);
      }
      for (const [name, count] of counts) least[name] = Math.min(count, least[name] ?? Infinity);
    }
    this.#least = least;
    return await this.inspector.census();
  }

  /** Waits until there has been no more of anything than at the beginning, and `holds` is true of what is alive, and tells what stays so however long one waits. */
  async look(holds: (census: Census) => boolean): Promise<{ readonly census: Census; readonly left: readonly string[] }> {
    const least = new Map(Object.entries(this.#least));
    for (const begun = performance.now(); ; await delay(LOOK_AGAIN_MS)) {
      const counts = Object.entries(await this.#counts());
      const more = counts.filter(([name, count]) => count > (least.get(name) ?? 0));
      for (const [name, count] of counts) if (count <= (least.get(name) ?? 0)) least.set(name, Infinity);
      const waited = performance.now() - begun;
      if (more.length > 0 && waited < PATIENCE_MS) continue;
      const census = await this.inspector.census();
      const left = more.map(([name, count]) => `${name}: ${count}, and at the beginning ${least.get(name) ?? 0}`);
      if (left.length > 0 || holds(census) || waited > LET_GO_MS) return { census, left };
    }
  }

  /** Errors that the gateway logged: none is expected, but those of a broker that was away. */
  get errors(): readonly string[] {
    return this.gateway.lines.all.filter((line) => line.includes('"level":"error"') && !line.includes(BROKER_FAULT));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #counts(): Promise<Counts> {
    const descriptors = readdirSync(`/proc/${this.gateway.pid}/fd`).length;
    const page = (await asked(this.gateway.opsPort, 'GET /metrics', [])).body.split('\n');
    const gauges = new Set(page.flatMap((line) => /^# TYPE (busgate_\S+) gauge$/.exec(line)?.[1] ?? []));
    const sums: Record<string, number> = {};
    for (const line of page) {
      const [, name = '', value = ''] = /^(busgate_\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
      if (name !== '') sums[name] = (sums[name] ?? 0) + Number(value);
    }
    const held = Object.entries(sums).filter(([name]) => gauges.has(name) && !NO_HOLDINGS.test(name));
    const deliveries = (kind: string): number => sums[`busgate_deliveries_${kind}`] ?? 0;
    const unaccounted = deliveries('due_total') - deliveries('sent_total') - deliveries('dropped_total') - deliveries('queued');
    return { descriptors, 'deliveries unaccounted for': Math.abs(unaccounted), ...Object.fromEntries(held), ...(await this.broker?.counts()) };
  }
}

function argsOf(broker: SoakBroker | undefined): readonly string[] {
  const work = broker === undefined ? { kind: 'consumer', module: ECHO } : { kind: 'events', queue: 'work' };
  const anyone = { join: 'anyone', publish: 'anyone' };
  const routes = [
    { path: '/room/:room', kind: 'room', ...anyone },
    { path: '/socket', kind: 'multiplex', ...anyone },
    { path: '/work/*', ...work },
  ];
  // As few messages as a stretch has of what is done seldom: then a room is full at the first look.
  const kept = 5;
  const settings = {
    layer: broker?.url ?? 'memory:',
    host: '127.0.0.1',
    history: [{ rooms: 'kept.>', size: kept, age: '1h' }],
    routes,
    'auth-jwt': JWT,
    'ops-key': KEY,
    ...LIMITS,
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, typeof value === 'string' ? value : JSON.stringify(value)]);
}

async function asked(port: number, line: string, headers: readonly string[], body = ''): Promise<HttpAnswer> {
  await using client = await RawClient.connect(port);
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  client.write(request(`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...length, ...headers) + body);
  return await client.answer();
}
