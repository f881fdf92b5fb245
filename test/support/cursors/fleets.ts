import { openLayer, type ChannelLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { TestGateway } from '../../../packages/gateway/test/support/gateway.ts';
import { startNats, startRedis } from '../brokers.ts';
import { startGateway } from '../processes.ts';

/** Messages that a room keeps. */
export const KEPT = 6;
const RULE = { rooms: 'kept.>', size: KEPT, ageMs: 600_000 };
const ROUTES = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: anyone}]';
const FLAGS = ['--host', '127.0.0.1', '--routes', ROUTES, '--history', `[{rooms: "kept.>", size: ${KEPT}, age: 10m}]`];

/** Gateways, and what can be done to the histories behind their backs. */
export interface Fleet extends AsyncDisposable {
  /** Host and port of each. */
  readonly origins: readonly string[];
  /** Whether {@link trim} lets go of everything, whatever it is to keep. */
  readonly trimsAll?: true;
  /** Lets go of the oldest messages, as age does. */
  readonly trim?: (room: string, keep: number) => Promise<void>;
  /** The broker loses the history of these rooms. */
  readonly lose?: (rooms: readonly string[]) => Promise<unknown>;
  /** Where a room stands, by the broker. */
  position(room: string): Promise<string>;
}

/** In this process, each with a layer of its own. */
async function memoryFleet(size: number): Promise<Fleet> {
  const stack = new AsyncDisposableStack();
  const bus = crypto.randomUUID();
  const gateways: TestGateway[] = [];
  for (let count = 0; count < size; count += 1) gateways.push(stack.use(await TestGateway.start([], [RULE], bus)));
  const layer = stack.adopt(await openLayer(`memory:${bus}`, { history: [RULE] }), (opened) => opened.close());
  return {
    origins: gateways.map(({ port }) => `127.0.0.1:${port}`),
    trimsAll: true,
    trim: (room) => layer.purge(room),
    lose: () => layer.flush(),
    position: (room) => positionOf(layer, room),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A process each, on a broker of their own. */
async function redisFleet(size: number): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startRedis());
  const origins = await processes(size, broker.url, stack);
  const redis = stack.adopt(new Redis(broker.url), (client) => client.disconnect());
  const layer = stack.adopt(await openLayer(broker.url, { history: [RULE] }), (opened) => opened.close());
  const fleet = stack.move();
  return {
    origins,
    trim: async (room, keep) => {
      await redis.xtrim(`{busgate:room:${room}}:history`, 'MAXLEN', keep);
    },
    lose: (rooms) => redis.del(rooms.flatMap((room) => [`{busgate:room:${room}}:history`, `{busgate:room:${room}}:epoch`])),
    position: (room) => positionOf(layer, room),
    [Symbol.asyncDispose]: () => fleet.disposeAsync(),
  };
}

/** Only what size lets go of is lost here: what a client may expect of a stream that is deleted or purged under it the model cannot say yet, as the server takes a moment for either. */
async function natsFleet(size: number): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startNats());
  const origins = await processes(size, broker.url, stack);
  const layer = stack.adopt(await openLayer(broker.url, { history: [RULE] }), (opened) => opened.close());
  const fleet = stack.move();
  return { origins, position: (room) => positionOf(layer, room), [Symbol.asyncDispose]: () => fleet.disposeAsync() };
}

/** Of so many gateways. */
export type StartFleet = (size: number) => Promise<Fleet>;

export const FLEETS: Readonly<Record<'memory' | 'redis' | 'nats', StartFleet>> = { memory: memoryFleet, redis: redisFleet, nats: natsFleet };

async function processes(size: number, url: string, stack: AsyncDisposableStack): Promise<string[]> {
  const gateways = await Promise.all(Array.from({ length: size }, () => startGateway({ args: ['--layer', url, ...FLAGS] })));
  for (const gateway of gateways) stack.use(gateway);
  return gateways.map(({ port }) => `127.0.0.1:${port}`);
}

async function positionOf(layer: ChannelLayer, room: string): Promise<string> {
  return (await layer.history(room)).position;
}
