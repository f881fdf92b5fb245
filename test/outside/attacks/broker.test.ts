import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { AnsweringServer } from '../../support/answering-server.ts';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { startGateway } from '../../support/processes.ts';
import { Client, MultiplexClient } from '../../e2e/clients.ts';
import { Stage } from '../../attacks/stage.ts';

const HISTORY = '[{rooms: "kept.>", size: 10, age: 1m}]';
/** How soon a broker that answers nothing is known to be away. */
const FOUND_MS = 5000;
/** A gateway that can reach nothing is watched for so long. */
const ASKING_MS = 1500;

/** Up or away, as the gateway says itself. */
const isUp = async ({ gateway }: Stage): Promise<boolean> => sumOf(await metricsOf(gateway), 'busgate_layer_up') === 1;

/** Publishes until it is known that nothing is published any more. */
async function awaitAway(client: MultiplexClient): Promise<void> {
  while ((await client.request({ type: 'publish', room: 'r', text: 'lost' }))['code'] !== 'away') await new Promise((resolve) => setImmediate(resolve));
}

describe.each([
  { name: 'redis', start: startRedis },
  { name: 'nats', start: startNats },
])('a gateway on $name', ({ start }) => {
  test.each<readonly [attack: number, what: string, begin: (broker: Broker) => unknown, end: (broker: Broker) => unknown]>([
    [93, 'is killed, and comes back', (broker) => broker.kill(), (broker) => broker.start()],
    [94, 'is stopped while its connections stay open', (broker) => broker.pause(), (broker) => broker.resume()],
  ])('attack %i: whose broker %s: sockets stay, publishers are told, and each room one gap', async (_attack, _what, begin, end) => {
    await using broker = await start();
    await using stage = await Stage.start(['--layer', broker.url]);
    await stage.survives(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      const rooms = Array.from({ length: 20 }, (_unused, index) => `r.${index}`);
      for (const room of rooms) await client.request({ type: 'join', room });
      await begin(broker);
      const began = performance.now();
      await awaitAway(client);
      expect(performance.now() - began).toBeLessThan(FOUND_MS + 1000);
      expect(await isUp(stage)).toBe(false);
      await end(broker);
      await expect.poll(() => isUp(stage)).toBe(true);
      await client.until(() => client.frames.filter(({ type }) => type === 'gap').length === rooms.length);
      expect(new Set(client.frames.filter(({ type }) => type === 'gap').map(({ room }) => room))).toEqual(new Set(rooms));
      for (const room of rooms) expect((await client.request({ type: 'publish', room, text: 'after' })).type).toBe('published');
      await client.until(() => rooms.every((room) => client.messages(room).at(-1) === 'after'));
      expect(client.frames.filter(({ type }) => type === 'gap').length).toBe(rooms.length);
    });
  });

  test('attack 98: whose broker is away while it is published at full rate: nothing is held, and nothing comes late', async () => {
    await using broker = await start();
    await using stage = await Stage.start(['--layer', broker.url]);
    await stage.survives(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      await client.request({ type: 'join', room: 'r' });
      await broker.kill();
      await awaitAway(client);
      const before = await stage.inspector.held();
      const text = 'x'.repeat(10_000);
      for (let burst = 0; burst < 20; burst += 1) {
        const answers = await Promise.all(Array.from({ length: 100 }, () => client.request({ type: 'publish', room: 'r', text })));
        expect(new Set(answers.map((answer) => answer['code']))).toEqual(new Set(['away']));
      }
      expect((await stage.inspector.held()) - before).toBeLessThan(1_000_000);
      await broker.start();
      await expect.poll(() => isUp(stage)).toBe(true);
      expect((await client.request({ type: 'publish', room: 'r', text: 'marker' })).type).toBe('published');
      await client.until(() => client.messages('r').includes('marker'));
      expect(client.messages('r')).toEqual(['marker']);
    });
  });

  test('attack 96: whose broker is not there yet: alive, not ready, and clients are told when to come back, until it is', async () => {
    await using broker = await start();
    await broker.kill();
    await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url], until: 'alive' });
    expect((await fetch(gateway.ops('/readyz'))).status).toBe(503);
    expect(await Client.refused(gateway.ws('/room/1'))).toBe(503);
    const refused = await fetch(gateway.http('/room/1'), { method: 'POST', body: 'x' });
    expect([refused.status, refused.headers.has('retry-after')]).toEqual([503, true]);
    await broker.start();
    await gateway.answers('/readyz');
    await using client = await Client.open(gateway.ws('/room/1'));
    client.send('hello');
    await client.until((received) => received.includes('hello'));
  });
});

describe('a gateway on Redis', () => {
  test('attack 99: whose subscriber is cut off: counted, subscribed again, and each room told', async () => {
    await using broker = await startRedis();
    await using stage = await Stage.start(['--layer', broker.url]);
    const redis = new Redis(broker.port);
    const cutOffs = async (): Promise<number> => sumOf(await metricsOf(stage.gateway), 'busgate_layer_faults_total');
    try {
      await stage.survives(async () => {
        await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
        for (const room of ['a', 'b']) await client.request({ type: 'join', room });
        const before = await cutOffs();
        await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await client.until(() => client.frames.filter(({ type }) => type === 'gap').length === 2);
        await expect.poll(cutOffs).toBeGreaterThan(before);
        expect((await client.request({ type: 'publish', room: 'a', text: 'after' })).type).toBe('published');
        await client.until(() => client.messages('a').includes('after'));
      });
    } finally {
      redis.disconnect();
    }
  });

  test('attack 102: that loses everything (FLUSHALL, SCRIPT FLUSH, FUNCTION FLUSH): one gap for rooms that keep messages, and all goes on', async () => {
    await using broker = await startRedis();
    await using stage = await Stage.start(['--layer', broker.url, '--history', HISTORY]);
    const redis = new Redis(broker.port);
    try {
      await stage.survives(async () => {
        await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
        await client.request({ type: 'join', room: 'kept.1' });
        const publish = async (text: string): Promise<unknown> => (await client.request({ type: 'publish', room: 'kept.1', text })).type;
        expect(await publish('before')).toBe('published');
        await redis.flushall();
        await redis.script('FLUSH');
        await redis.function('FLUSH');
        expect(await publish('after')).toBe('published');
        await client.until(() => client.messages('kept.1').includes('after'));
        expect(client.frames.filter(({ type }) => type === 'gap').length).toBe(1);
      });
    } finally {
      redis.disconnect();
    }
  });

  test('attack 106: of two, one is killed with its clients: the other’s notice nothing, and nothing of it is left at the broker', async () => {
    await using broker = await startRedis();
    await using stage = await Stage.start(['--layer', broker.url]);
    const redis = new Redis(broker.port);
    try {
      await stage.survives(async () => {
        const gateway = await startGateway({ args: ['--demo', '--layer', broker.url] });
        await using client = await Client.open(stage.gateway.ws('/room/both'));
        const doomed = await Promise.all(
          Array.from({ length: 200 }, (_, index) => Client.open(gateway.ws(index % 2 === 0 ? '/room/both' : `/room/own.${index}`))),
        );
        await gateway.kill();
        await Promise.all(doomed.map(({ closed }) => closed));
        await expect.poll(async () => (await redis.pubsub('CHANNELS', 'busgate:room:own.*')) as string[]).toEqual([]);
        await expect.poll(async () => (await redis.pubsub('NUMSUB', 'busgate:room:both'))[1]).toBe(1);
        client.send('still here');
        await client.until((received) => received.includes('still here'));
      });
    } finally {
      redis.disconnect();
    }
  });

  test.each([
    ['LOADING Redis is loading the dataset in memory'],
    ["READONLY You can't write against a read only replica."],
    ['ERR max number of clients reached'],
    ['OOM command not allowed when used memory > maxmemory.'],
    ['NOAUTH Authentication required.'],
    ['MOVED 1234 127.0.0.1:1'],
    ['complete nonsense'],
  ])('attack 100: that answers everything with %s: alive and not ready, and asked with patience', async (answer) => {
    await using server = await AnsweringServer.start(`-${answer}\r\n`);
    const child = await startGateway({ args: ['--demo', '--layer', `redis://127.0.0.1:${server.port}`], until: 'alive' }).catch((error: unknown) => error);
    if (child instanceof Error) {
      // What can never be let in is said, and not tried for ever.
      expect([answer.split(' ', 1)[0], child.message]).toEqual(['NOAUTH', expect.stringContaining('password')]);
      return;
    }
    await using gateway = child as Awaited<ReturnType<typeof startGateway>>;
    // How often it asks is seen over a while alone.
    await sleep(ASKING_MS);
    expect((await fetch(gateway.ops('/readyz'))).status).toBe(503);
    expect((await fetch(gateway.ops('/healthz'))).status).toBe(200);
    expect(server.connections).toBeLessThan(40);
  });
});
