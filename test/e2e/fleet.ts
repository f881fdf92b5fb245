import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type NatsConnection } from 'nats';
import { type Broker, startNats, startRedis } from '../support/brokers.ts';
import type { Exit } from '../support/child.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';

/** A layer that a fleet is tried on. */
export interface LayerUnderTest {
  readonly name: string;
  /** Whether all subscribers of a live room see one order, or only each publisher's. */
  readonly roomOrder: 'total' | 'publisher';
  start?(): Promise<Broker>;
  /** Publishes to a room as a backend would: with nothing but the broker's own client. */
  publish?(broker: Broker, room: string, payloads: readonly (string | Buffer)[]): Promise<void>;
}

export const MEMORY: LayerUnderTest = { name: 'memory', roomOrder: 'total' };

export const LAYERS: readonly LayerUnderTest[] = [
  { name: 'redis', roomOrder: 'total', start: startRedis, publish: redisCli },
  { name: 'nats', roomOrder: 'publisher', start: startNats, publish: natsPublish },
];

/** Gateways in processes of their own, on one real broker. */
export interface Fleet extends AsyncDisposable {
  readonly broker: FleetBroker;
  ws(gateway: number, path: string): string;
  http(gateway: number, path: string): string;
  ops(gateway: number, path: string): string;
  signal(gateway: number, signal: NodeJS.Signals): void;
  exited(gateway: number): Promise<Exit>;
}

interface FleetBroker {
  publish(room: string, payload: string | Buffer): Promise<void>;
  publishLines(room: string, lines: readonly string[]): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export async function startFleet(layer: LayerUnderTest, size: number, args: readonly string[] = []): Promise<Fleet> {
  const stack = new AsyncDisposableStack();
  try {
    const broker = layer.start === undefined ? undefined : stack.use(await layer.start());
    const flags = ['--demo', ...(broker === undefined ? [] : ['--layer', broker.url]), ...args];
    const gateways = await Promise.all(Array.from({ length: size }, () => startGateway({ args: flags })));
    for (const gateway of gateways) stack.use(gateway);
    return fleetOf(layer, broker, gateways, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function fleetOf(layer: LayerUnderTest, broker: Broker | undefined, gateways: readonly GatewayProcess[], stack: AsyncDisposableStack): Fleet {
  const at = (index: number): GatewayProcess => {
    const gateway = gateways[index];
    if (gateway === undefined) throw new Error(`the fleet has no gateway ${index}`);
    return gateway;
  };
  const publish = async (room: string, payloads: readonly (string | Buffer)[]): Promise<void> => {
    if (broker === undefined || layer.publish === undefined) throw new Error(`${layer.name} has no client of its own`);
    await layer.publish(broker, room, payloads);
  };
  return {
    broker: {
      publish: (room, payload) => publish(room, [payload]),
      publishLines: publish,
      kill: async () => broker?.kill(),
      start: async () => broker?.start(),
    },
    ws: (index, path) => at(index).ws(path),
    http: (index, path) => at(index).http(path),
    ops: (index, path) => at(index).ops(path),
    signal: (index, signal) => at(index).signal(signal),
    exited: (index) => at(index).exited,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** One redis-cli that is fed the commands as they would travel, so that any bytes get through; resolves when Redis has answered all of them. */
async function redisCli(broker: Broker, room: string, payloads: readonly (string | Buffer)[]): Promise<void> {
  const cli = spawn('redis-cli', ['-p', String(broker.port), '--pipe'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  cli.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const channel = `busgate:room:${room}`;
  for (const payload of payloads) {
    const bytes = Buffer.from(payload);
    cli.stdin.write(
      Buffer.concat([Buffer.from(`*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]),
    );
  }
  cli.stdin.end();
  const [code] = (await once(cli, 'close')) as [number];
  if (code !== 0 || !output.includes(`errors: 0, replies: ${payloads.length}`)) throw new Error(`redis-cli ended with ${code}: ${output}`);
}

async function natsPublish(broker: Broker, room: string, payloads: readonly (string | Buffer)[]): Promise<void> {
  const connection: NatsConnection = await connect({ servers: broker.url });
  for (const payload of payloads) connection.publish(`busgate.room.${room}`, Buffer.from(payload));
  await connection.drain();
}
