import { Redis } from 'ioredis';
import { startNats, startRedis } from '../support/brokers.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { freePort } from '../support/ports.ts';

export type Counts = Readonly<Record<string, number>>;

/** A broker under a gateway. */
export interface SoakBroker extends AsyncDisposable {
  /** Where the gateway reaches it. */
  readonly url: string;
  /** Where a worker does. */
  readonly direct: string;
  /** What it holds for its clients: connections, subscriptions, and what is kept for ever. */
  readonly counts: () => Promise<Counts>;
  /** Ends every connection of the gateway. */
  readonly cut: () => Promise<void>;
}

export async function soakRedis(): Promise<SoakBroker> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startRedis());
  const asking = new Redis(broker.url);
  stack.defer(() => asking.disconnect());
  const held = stack.move();
  return {
    url: broker.url,
    direct: broker.url,
    counts: async () => {
      const channels = (await asking.pubsub('CHANNELS')) as string[];
      const subscribers = channels.length === 0 ? [] : ((await asking.pubsub('NUMSUB', ...channels)) as (string | number)[]);
      const [, keys = 0, expiring = 0] = /keys=(\d+),expires=(\d+)/.exec(await asking.info('keyspace')) ?? [];
      return {
        'connections at the broker': String(await asking.client('LIST')).split('\n').length,
        'channels at the broker': channels.length,
        'subscriptions at the broker': subscribers.reduce<number>((sum, each, index) => sum + (index % 2 === 1 ? Number(each) : 0), 0),
        'keys that do not expire': Number(keys) - Number(expiring),
      };
    },
    cut: async () => {
      // In one step: none is back before the last one has gone.
      const kills = ['normal', 'pubsub'].map((type) => ['client', 'KILL', 'TYPE', type, 'SKIPME', 'yes']);
      await asking.multi(kills).exec();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

export async function soakNats(): Promise<SoakBroker> {
  await using stack = new AsyncDisposableStack();
  const monitoring = await freePort();
  const broker = stack.use(await startNats({ config: [`http: 127.0.0.1:${monitoring}`] }));
  const proxy = stack.use(await FaultProxy.start(broker.port));
  const ask = async (path: string): Promise<Counts> => (await (await fetch(`http://127.0.0.1:${monitoring}/${path}`)).json()) as Counts;
  const held = stack.move();
  return {
    url: `nats://127.0.0.1:${proxy.port}`,
    direct: broker.url,
    counts: async () => {
      const [{ connections = 0, subscriptions = 0 }, { streams = 0, consumers = 0 }] = [await ask('varz'), await ask('jsz')];
      return {
        'connections at the broker': connections,
        'subscriptions at the broker': subscriptions,
        'streams at the broker': streams,
        'consumers at the broker': consumers,
      };
    },
    cut: async () => proxy.cut(),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
