import { isName, openLayer } from '@busgate/layer';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { writeElement } from '../src/channels/elements.ts';
import { Serializer } from '../src/channels/serializer.ts';
import { Connection } from '../src/connection.ts';
import { createDriver } from '../src/index.ts';
import { Log } from './log.ts';
import { cli } from './support.ts';
import { cases } from './vectors.ts';

/** A process of Django's, and two of its channels. */
const PYTHON = 'specific.0123456789abcdef0123456789abcdef!';
const [FIRST, SECOND] = [`${PYTHON}a`, `${PYTHON}b`] as const;
/** Names that Django takes and names that it refuses. */
const NAMES = cases.find(({ operation }) => operation === 'validate')?.names ?? { group: [], channel: [] };

let redis: Broker;
let core: string;

beforeAll(async () => {
  redis = await startRedis();
  core = `${redis.url}?wire=channels-core`;
});

afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await cli(redis, 'FLUSHALL');
});

describe.each(['channels-core', 'channels-pubsub'])('wire %s', (wire) => {
  test('lets out no name that Django refuses, and refuses none that is Django’s and a name', async () => {
    await using layer = await openLayer(`${redis.url}?wire=${wire}`);
    expect([NAMES.group.length, NAMES.channel.length]).toEqual([14, 16]);
    for (const [name, allowed] of NAMES.group) {
      const sent = Promise.allSettled([layer.groupSend(name, { n: 1 }), layer.publish(name, 'x'), layer.groupAdd(name, layer.newChannel())]);
      for (const { status } of await sent) expect([name, status]).toEqual([name, allowed && isName(name) ? 'fulfilled' : 'rejected']);
    }
    for (const [name, allowed] of NAMES.channel) {
      const [sent] = await Promise.allSettled([layer.send(name, { n: 1 })]);
      expect([name, sent.status]).toEqual([name, allowed && isName(name) ? 'fulfilled' : 'rejected']);
    }
  });

  test('a history that is asked for is warned of at the start', async () => {
    const log = new Log();
    await using layer = await openLayer(`${redis.url}?wire=${wire}`, { logger: log, history: [{ rooms: 'kept.>', size: 10, ageMs: 1000 }] });
    await log.has(`wire ${wire} has no history`);
    await expect(layer.publish('kept.a', 'x')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await layer.publish('other', 'x');
  });
});

describe('what a layer on wire channels-core declares', () => {
  test.each([
    ['channels-core', 1, 'total'],
    ['channels-core&encryptionKeys=k', 1, 'publisher'],
    ['channels-core', 2, 'publisher'],
    ['channels-pubsub', 2, 'total'],
  ])('%s on %i hosts: roomOrder %s', async (wire, count, roomOrder) => {
    await using another = await startRedis();
    const hosts = [redis, another].slice(0, count).map(({ port }) => `127.0.0.1:${port}`);
    await using layer = await openLayer(`redis://${hosts.join(',')}?wire=${wire}`);
    expect(layer.capabilities.roomOrder).toBe(roomOrder);
  });
});

describe('queues of processes, wire channels-core', () => {
  test('one of Django’s holds the capacity; what is dropped there is counted, and holds up nobody', async () => {
    await using layer = await openLayer(core, { capacity: 3 });
    for (let n = 0; n < 3; n += 1) await layer.send(n === 1 ? SECOND : FIRST, { n });
    await expect(layer.send(SECOND, { n: 3 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    const mine = layer.newChannel();
    await cli(redis, 'ZADD', 'asgi:group:all', '9999999999', FIRST);
    await layer.groupAdd('all', mine);
    expect(await layer.groupSend('all', { n: 4 })).toEqual({});
    expect(await layer.receive(mine)).toEqual({ n: 4 });
    await layer.publish('all', 'x');
    expect(layer.stats.droppedFull).toBe(2);
    expect(await cli(redis, 'ZCARD', `asgi${PYTHON}`)).toBe('3');
  });

  test('a worker queue that is full is counted also where it is a room’s', async () => {
    await using layer = await openLayer(core, { capacity: 1 });
    await layer.groupAdd('all', 'work');
    expect(await layer.groupSend('all', { n: 1 })).toEqual({ dropped: 0 });
    await layer.publish('all', 'x');
    expect(await layer.groupSend('all', { n: 2 })).toEqual({ dropped: 1 });
    expect(layer.stats.droppedFull).toBe(2);
  });

  test('a gateway’s holds what is for all its channels, until it has gone', async () => {
    await using layer = await openLayer(core, { capacity: 3 });
    await cli(redis, 'HSET', 'asgi:busgate:core:lives', 'gateway', 'lives');
    for (let n = 0; n < 20; n += 1) await layer.send(`job.gateway!${n}`, { n });
    expect(await cli(redis, 'ZCARD', 'asgispecific.gateway!')).toBe('20');
    await cli(redis, 'HDEL', 'asgi:busgate:core:lives', 'gateway');
    await expect(layer.send('specific.gateway!1', { n: 21 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
  });
});

describe('worker queues, wire channels-core', () => {
  test('what comes while a reader waits is delivered, however late its sender’s clock is', async () => {
    await using layer = await openLayer(core);
    const received = layer.receive('work');
    await expect.poll(() => cli(redis, 'CLIENT', 'LIST'), { timeout: 10_000, interval: 5 }).toMatch(/flags=b.*cmd=bzpopmin/);
    const django = await Connection.open({ host: '127.0.0.1', port: redis.port }, { credentials: {}, db: 0, tls: undefined, name: 'test' });
    await django.run('zadd', 'asgiwork', 1, writeElement(Serializer.forCore({ serializer: 'msgpack', encryptionKeys: [] }, 60_000), { late: true }));
    django.destroy('done');
    expect(await received).toEqual({ late: true });
  });

  test('one that Python took out of a group while its gateway was away stays out; one that Redis lost is a member again', async () => {
    const history = [] as const;
    const options = {
      prefix: 'asgi',
      capacity: 100,
      expiryMs: 60_000,
      groupExpiryMs: 100_000,
      history,
      maxMessageBytes: 1000,
      traces: false,
      logger: new Log(),
    };
    const driver = createDriver(core, { options, process: 'aaaaaaaaaaaaaaaa' });
    await driver.open({ state() {}, fault() {}, undecodable() {}, dropped() {} });
    for (const queue of ['stays', 'leaves']) await driver.addMember('all', queue);
    await cli(redis, 'ZREM', 'asgi:group:all', 'leaves');
    const renew = async (): Promise<unknown[]> => [await driver.renewMember?.('all', 'stays', 50_000), await driver.renewMember?.('all', 'leaves', 50_000)];
    expect(await renew()).toEqual([true, false]);
    expect(await cli(redis, 'ZRANGE', 'asgi:group:all', '0', '-1')).toBe('stays');
    await cli(redis, 'FLUSHALL');
    expect(await renew()).toEqual([true, true]);
    const [seconds] = (await cli(redis, 'TIME')).split('\n');
    const joined = Number(seconds) - Number(await cli(redis, 'ZSCORE', 'asgi:group:all', 'leaves'));
    expect(joined).toBeGreaterThan(45);
    expect(joined).toBeLessThan(60);
    await driver.close();
  });
});
