import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openLayer, parsePosition, type ChannelLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { connect } from 'nats';
import { TestGateway } from '../../../packages/gateway/test/support/gateway.ts';
import { startNats, startRedis } from '../brokers.ts';
import { startGateway } from '../processes.ts';
import { untilBack as askUntilBack } from './wires.ts';

/** Messages that a room keeps. */
export const KEPT = 6;
const STREAM = 'BUSGATE_ROOM_' + Buffer.from('kept.>').toString('base64url');
const RULE = { rooms: 'kept.>', size: KEPT, ageMs: 600_000 };
const ROUTES = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: anyone}]';
const FLAGS = ['--host', '127.0.0.1', '--routes', ROUTES, '--history', `[{rooms: "kept.>", size: ${KEPT}, age: 10m}]`];

const LOW = 'kept.low';
const PATIENCE_MS = 30_000;

/** One way in which the broker loses what it keeps. */
export interface Loss {
  readonly name: string;
  /** Whether the broker is away for a moment. */
  readonly restarts?: true;
  /** Whether the gateways end with it. */
  readonly ends?: true;
  /** Whether it has again what it had at {@link Fleet.keep}, which goes before it. */
  readonly restores?: true;
  happens(rooms: readonly string[]): Promise<unknown>;
}

/** Gateways, and what can be done to the histories behind their backs. */
export interface Fleet extends AsyncDisposable {
  /** Host and port of each. */
  readonly origins: readonly string[];
  readonly losses: readonly Loss[];
  /** Keeps a copy of all that the broker has; nothing is lost by it. */
  readonly keep?: () => Promise<void>;
  /** Lets go of the oldest messages, as age does. `about` is told before, where positions before an offset are too old by it, whatever room they are of. */
  readonly trim?: (room: string, keep: number, about: (offset: number) => void) => Promise<unknown>;
  /** Whether {@link trim} may let go of what other rooms have, too. */
  readonly trimsOthers?: true;
  /** Lets go of all that is kept of a room, as an operator does. */
  purge(room: string): Promise<void>;
  /** Where a room stands, by the broker. */
  position(room: string): Promise<string>;
}

/** In this process, each with a layer of its own. What they hold ends with them. */
async function memoryFleet(size: number): Promise<Fleet> {
  let fleet = await MemoryFleet.start(size);
  return {
    get origins() {
      return fleet.origins;
    },
    losses: [
      { name: 'flushed', happens: () => fleet.layer.flush() },
      {
        name: 'started anew',
        ends: true,
        happens: async () => {
          await fleet[Symbol.asyncDispose]();
          fleet = await MemoryFleet.start(size);
        },
      },
    ],
    purge: (room) => fleet.layer.purge(room),
    position: (room) => positionOf(fleet.layer, room),
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  };
}

class MemoryFleet implements AsyncDisposable {
  readonly origins: readonly string[];
  readonly layer: ChannelLayer;
  readonly #stack: AsyncDisposableStack;

  private constructor(gateways: readonly TestGateway[], layer: ChannelLayer, stack: AsyncDisposableStack) {
    this.origins = gateways.map(({ port }) => `127.0.0.1:${port}`);
    this.layer = layer;
    this.#stack = stack;
  }

  static async start(size: number): Promise<MemoryFleet> {
    await using stack = new AsyncDisposableStack();
    const bus = crypto.randomUUID();
    const gateways: TestGateway[] = [];
    for (let count = 0; count < size; count += 1) gateways.push(stack.use(await TestGateway.start([], [RULE], bus)));
    const layer = stack.adopt(await openLayer(`memory:${bus}`, { history: [RULE] }), (opened) => opened.close());
    return new MemoryFleet(gateways, layer, stack.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** A process each, on a broker of their own. */
async function redisFleet(size: number): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startRedis());
  const origins = await processes(size, broker.url, stack);
  const redis = stack.adopt(new Redis(broker.url), (client) => client.disconnect());
  redis.on('error', () => undefined);
  const layer = stack.adopt(await openLayer(broker.url, { history: [RULE] }), (opened) => opened.close());
  const fleet = stack.move();
  return {
    origins,
    losses: [
      { name: 'deleted', happens: (rooms) => redis.del(rooms.flatMap((room) => [`{busgate:room:${room}}:history`, `{busgate:room:${room}}:epoch`])) },
      { name: 'flushed', happens: () => redis.flushall() },
      // Whatever it has still: nobody can tell what it lost.
      { name: 'started anew', restarts: true, happens: () => broker.restart() },
      { name: 'killed, and started anew with nothing', restarts: true, happens: () => broker.kill().then(() => broker.start({ empty: true })) },
    ],
    trim: (room, keep) => redis.xtrim(`{busgate:room:${room}}:history`, 'MAXLEN', keep),
    purge: (room) => untilBack(() => layer.purge(room)),
    position: (room) => positionOf(layer, room),
    [Symbol.asyncDispose]: () => fleet.disposeAsync(),
  };
}

/** A process each, on a broker of their own. Its stream lets go of what is old whatever room it is of. */
async function natsFleet(size: number): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startNats());
  const origins = await processes(size, broker.url, stack);
  const nats = stack.adopt(await connect({ servers: broker.url, maxReconnectAttempts: -1, reconnectTimeWait: 20 }), (connection) => connection.close());
  const manager = await nats.jetstreamManager();
  const layer = stack.adopt(await openLayer(broker.url, { history: [RULE] }), (opened) => opened.close());
  // A room that nobody publishes in besides, so that what the others let go of is not the oldest of the stream.
  const stay = (): Promise<unknown> => untilBack(() => layer.publish(LOW, 'low'));
  const look = async (): Promise<void> => {
    for (const origin of origins) await askUntilBack(() => fetch(`http://${origin}/room/${LOW}?last=0`));
    await positionOf(layer, LOW);
  };
  await stay();
  const [data, copy] = [join(broker.folder, 'data'), join(broker.folder, 'copy')];
  const fleet = stack.move();
  return {
    origins,
    losses: [
      {
        // One that is deleted while a busy server runs may take the files of the one that is made in its place with it.
        name: 'killed, and started anew without its stream',
        restarts: true,
        happens: async () => {
          await broker.kill();
          await rm(join(data, 'jetstream/$G/streams', STREAM), { recursive: true });
          await broker.start();
          await stay();
        },
      },
      {
        name: 'killed, and started anew with nothing',
        restarts: true,
        happens: () =>
          broker
            .kill()
            .then(() => broker.start({ empty: true }))
            .then(stay),
      },
      {
        name: 'killed, and started anew with older files',
        restarts: true,
        restores: true,
        happens: async () => {
          // A gateway that knows less than others believes in what is there until they are back.
          await look();
          await broker.kill();
          await rm(data, { recursive: true });
          await cp(copy, data, { recursive: true });
          await broker.start();
        },
      },
    ],
    // It runs meanwhile, and a file may go while it is copied.
    keep: () => untilBack(() => rm(copy, { recursive: true, force: true }).then(() => cp(data, copy, { recursive: true }))),
    trim: async (room, keep, about) => {
      const { messages } = await untilBack(() => layer.history(room, undefined, { last: keep }));
      const { state } = await untilBack(() => manager.streams.info(STREAM));
      const first = parsePosition(messages[0]?.position)?.offset ?? state.last_seq + 1;
      if (first <= state.first_seq) return;
      about(state.last_seq + 1);
      await manager.streams.purge(STREAM, { seq: first });
      await stay();
    },
    trimsOthers: true,
    purge: (room) => untilBack(() => layer.purge(room)),
    position: (room) => positionOf(layer, room),
    [Symbol.asyncDispose]: () => fleet.disposeAsync(),
  };
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
  return (await untilBack(() => layer.history(room))).position;
}

/** Does it once the broker is back. */
async function untilBack<T>(call: () => Promise<T>): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await delay(10);
  }
}
