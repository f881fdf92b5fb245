import { setTimeout as delay } from 'node:timers/promises';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { Collector } from '../../../test/support/events.ts';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { expectAtMostOnce } from './at-most-once.ts';
import { openDriver } from './drivers.ts';
import { cli, connects, state } from './support.ts';

const KEY = 'busgate:queue:jobs';
/** Enough of them that some are read quickly enough in a row, however busy the machine is. */
const TOTAL = 12_000;

async function fill(layer: ChannelLayer): Promise<void> {
  await Promise.all(Array.from({ length: TOTAL }, (_, n) => layer.send('jobs', { n })));
}

/** In one step: how many wait and how often the head of a list was looked at; where fewer wait than `ARGV[1]`, the first of them is taken. */
const PASS = `local waiting = redis.call('LLEN', KEYS[1])
local looks = string.match(redis.call('INFO', 'commandstats'), 'cmdstat_lindex:calls=(%d+)') or '0'
return { waiting, looks, waiting < tonumber(ARGV[1]) and ARGV[2] == 'take' and redis.call('LPOP', KEYS[1]) or '' }`;

interface Ahead {
  /** How many messages have been read, and how many were taken ahead. */
  readonly read: number;
  readonly ahead: number;
  /** What was taken behind the reader's back. */
  readonly passed: string;
  readonly looks: number;
}

/** Reads on until the queue holds fewer than were not read. A busy machine may be too slow at first. */
async function readUntilAhead(layer: ChannelLayer, client: Redis, then: 'look' | 'take'): Promise<Ahead> {
  for (let read = 0; read < TOTAL - 1600;) {
    for (const end = read + 550; read < end; read += 1) expect(await layer.receive('jobs')).toEqual({ n: read });
    const [waiting, looks, passed] = (await client.eval(PASS, 1, KEY, TOTAL - read, then)) as [number, string, string];
    if (waiting < TOTAL - read) return { read, ahead: TOTAL - read - waiting, passed, looks: Number(looks) };
  }
  throw new Error('no message was read ahead');
}

/** Redis's clock, in milliseconds. */
async function clock(redis: Broker): Promise<number> {
  const [seconds, micros] = (await cli(redis, 'TIME')).split('\n');
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

function expectWithin(value: number, least: number, most: number): void {
  expect(value).toBeGreaterThanOrEqual(least);
  expect(value).toBeLessThanOrEqual(most);
}

describe('worker queues on a Redis of their own', () => {
  test('any program reads with BLPOP and writes with RPUSH', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { expiryMs: 60_000 });
    const before = await clock(redis);
    await layer.send('jobs', { type: 'work', bytes: new Uint8Array([1, 2]) });
    const after = await clock(redis);
    const element = JSON.parse((await cli(redis, 'BLPOP', KEY, '1')).split('\n')[1] as string) as Record<string, unknown>;
    expect(element).toEqual({ type: 'work', bytes: { $bytes: 'AQI=' }, __expires: expect.any(Number) });
    expectWithin(Number(element['__expires']) - 60_000, before, after);

    await cli(redis, 'RPUSH', KEY, '{"from":"elsewhere"}', '{"__expires":99999999999999,"n":1}', '{"__expires":1,"n":2}', '{"n":3}');
    expect(await layer.receive('jobs')).toEqual({ from: 'elsewhere' });
    await expect.poll(async () => Number(await cli(redis, 'PTTL', KEY))).toBeGreaterThan(0);
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
    expect(await layer.receive('jobs')).toEqual({ n: 3 });
  });

  test('what is sent in one turn reaches Redis in that order, messages to one queue in one step', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { capacity: 3, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const client = new Redis(redis.url);
    const monitor = await client.monitor();
    const seen = new Collector<string>();
    monitor.on('monitor', (_time: string, [name = '', ...words]: string[], source: string) => {
      const numbers = words.filter((word) => /^\{"n":\d\}$|^publish \d$/.test(word));
      if (source !== 'lua' && numbers.length > 0) seen.push(`${name.toLowerCase()} ${numbers.join(' ')}`);
    });
    try {
      const calls = [
        layer.send('jobs', { n: 1 }),
        layer.send('jobs', { n: 2 }),
        layer.publish('room', 'publish 3'),
        layer.send('jobs', { n: 4 }),
        layer.send('jobs', { n: 5 }),
        layer.publish('kept', 'publish 6'),
      ];
      const results = await Promise.allSettled(calls);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
      expect(await seen.take(4)).toEqual(['evalsha {"n":1} {"n":2}', 'publish publish 3', 'evalsha {"n":4} {"n":5}', 'evalsha publish 6']);
    } finally {
      monitor.disconnect();
      client.disconnect();
    }
  });

  test("a sender's wrong clock changes neither the order nor how long its messages live", async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { expiryMs: 60_000 });
    await using wrong = await openLayer(redis.url, { expiryMs: 60_000 });
    const right = Date.now;
    const before = await clock(redis);
    for (const [n, ahead] of [-3_600_000, 3_600_000, 0, 61_000].entries()) {
      Date.now = () => right() + ahead;
      await wrong.send('jobs', { n }).finally(() => (Date.now = right));
      await layer.send('jobs', { n: n + 0.5 });
    }
    const waiting = (await cli(redis, 'LRANGE', KEY, '0', '-1')).split('\n').map((element) => JSON.parse(element) as { __expires: number });
    const after = await clock(redis);
    for (const { __expires: ends } of waiting) expectWithin(ends - 60_000, before, after);
    for (const n of [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]) expect(await layer.receive('jobs')).toEqual({ n });
    expect(await cli(redis, 'DBSIZE')).toBe('0');
  });

  test('a queue that nobody reads leaves nothing behind', async () => {
    await using redis = await startRedis();
    const keys = [KEY, '{busgate:group:g}:queues'];
    await using lasting = await openLayer(redis.url, { expiryMs: 60_000, groupExpiryMs: 60_000 });
    await lasting.groupAdd('g', 'jobs');
    await lasting.groupSend('g', { n: 1 });
    expect((await cli(redis, 'KEYS', '*')).split('\n').toSorted()).toEqual(keys);
    for (const key of keys) expectWithin(Number(await cli(redis, 'PTTL', key)), 1, 60_000);
    await lasting.flush();
    await using layer = await openLayer(redis.url, { expiryMs: 200, groupExpiryMs: 200 });
    await layer.groupAdd('g', 'jobs');
    await layer.groupSend('g', { n: 1 });
    await expect.poll(() => cli(redis, 'DBSIZE'), { timeout: 10_000 }).toBe('0');
  });

  test('a queue that plain RPUSHes filled does not stay full for ever', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { expiryMs: 200, capacity: 2 });
    await cli(redis, 'RPUSH', KEY, '{"n":1}', '{"n":2}');
    await expect(layer.send('jobs', { n: 3 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    await expect.poll(() => cli(redis, 'DBSIZE'), { timeout: 10_000 }).toBe('0');
    await using lasting = await openLayer(redis.url, { capacity: 2 });
    await lasting.send('jobs', { n: 4 });
    expect(await lasting.receive('jobs')).toEqual({ n: 4 });
  });

  test('what is no JSON object is skipped and counted', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    await cli(redis, 'RPUSH', KEY, 'no json', '[1]', '{"n":1}');
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
    expect(layer.stats.undecodable).toBe(2);
  });

  test('a receive waits over a restart of Redis, and what is sent afterwards is in order', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const first = layer.receive('jobs');
    await expect.poll(() => cli(redis, 'CLIENT', 'LIST')).toContain('cmd=blpop');
    await redis.kill();
    await state(layer, 'away');
    await redis.start();
    await connects(layer, 2);
    await layer.send('jobs', { n: 1 });
    await layer.send('jobs', { n: 2 });
    expect([await first, await layer.receive('jobs')]).toEqual([{ n: 1 }, { n: 2 }]);
  });

  test('an aborted receive ends its BLPOP, so that the next message is for somebody else', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    const stop = new AbortController();
    const received = layer.receive('jobs', { signal: stop.signal });
    await expect.poll(() => cli(redis, 'CLIENT', 'LIST')).toContain('cmd=blpop');
    stop.abort(new Error('enough'));
    await expect(received).rejects.toThrow('enough');
    await expect.poll(() => cli(redis, 'INFO', 'clients')).toContain('blocked_clients:0');
    await layer.send('jobs', { n: 1 });
    expect(await cli(redis, 'LLEN', KEY)).toBe('1');
  });

  test('what was read ahead and nobody came for goes back in order, when it has waited a little and when its reader closes', async () => {
    await using redis = await startRedis();
    await using reader = await openLayer(redis.url);
    await using next = await openLayer(redis.url, { capacity: TOTAL });
    const client = new Redis(redis.url);
    using _ = { [Symbol.dispose]: () => client.disconnect() };
    await fill(next);
    const { read } = await readUntilAhead(reader, client, 'look');
    await expect.poll(() => client.llen(KEY)).toBe(TOTAL - read);
    expect(await client.pttl(KEY)).toBeGreaterThan(0);
    for (let n = read; n < read + 1000; n += 1) expect(await next.receive('jobs')).toEqual({ n });
    await next.close();
    expect(await client.llen(KEY)).toBe(TOTAL - 1000 - read);
    for (let n = read + 1000; n < TOTAL; n += 1) expect(await reader.receive('jobs')).toEqual({ n });
  });

  test('what was read ahead does not go back behind one who has read on: it waits for its own reader, and two seconds later for anybody', async () => {
    await using redis = await startRedis();
    await using reader = await openLayer(redis.url);
    await using next = await openLayer(redis.url, { capacity: TOTAL });
    const client = new Redis(redis.url);
    using _ = { [Symbol.dispose]: () => client.disconnect() };
    await fill(next);
    const { read, ahead, passed, looks } = await readUntilAhead(reader, client, 'take');
    expect(JSON.parse(passed)).toMatchObject({ n: read + ahead });
    await expect.poll(async () => /cmdstat_lindex:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]).toBe(`${looks + 1}`);
    expect(await next.receive('jobs')).toEqual({ n: read + ahead + 1 });
    expect(await reader.receive('jobs')).toEqual({ n: read });
    await expect.poll(() => client.llen(KEY)).toBe(TOTAL - read - 3);
    for (let n = read + 1; n < read + ahead; n += 1) expect(await next.receive('jobs')).toEqual({ n });
    expect(await reader.receive('jobs')).toEqual({ n: read + ahead + 2 });
  });

  test('a queue lives as long as the message in it that lives longest, also when that was taken and given back', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { expiryMs: 1000 });
    const pttl = async (): Promise<number> => Number(await cli(redis, 'PTTL', KEY));
    await layer.send('jobs', { n: 1 }, { expiryMs: 3_600_000 });
    await layer.send('jobs', { n: 2 });
    expect(await pttl()).toBeGreaterThan(3_000_000);
    await using driver = await openDriver(redis.url, 'p', { expiryMs: 1000 });
    const [first] = await driver.pop('jobs', 1, new AbortController().signal);
    await driver.pop('jobs', 1, new AbortController().signal);
    expect(await cli(redis, 'EXISTS', KEY)).toBe('0');
    await first?.giveBack();
    expect(await pttl()).toBeGreaterThan(3_000_000);
    expect(await layer.receive('jobs')).toEqual({ n: 1 });
  });

  test('a full queue is looked through for what has expired only where something may have', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { capacity: 3 });
    const looks = async (): Promise<string | undefined> => /cmdstat_lrange:calls=(\d+)/.exec(await cli(redis, 'INFO', 'commandstats'))?.[1];
    for (const n of [0, 1]) await layer.send('jobs', { n });
    await layer.send('jobs', { n: 2 }, { expiryMs: 1500 });
    await expect(layer.send('jobs', { n: 3 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    expect(await looks()).toBe(undefined);
    await delay(1600);
    await layer.send('jobs', { n: 4 });
    for (let n = 5; n < 10; n += 1) await expect(layer.send('jobs', { n })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    expect(await looks()).toBe('1');
    expect([await layer.receive('jobs'), await layer.receive('jobs'), await layer.receive('jobs')]).toEqual([{ n: 0 }, { n: 1 }, { n: 4 }]);
  });

  test('an id is remembered for five minutes, in a key of its own that flush removes', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history: [{ rooms: '>', size: 10, ageMs: 60_000 }] });
    await layer.send('jobs', { n: 1 }, { id: 'a', expiryMs: 1000 });
    await layer.publish('r', 'x', { id: 'a' });
    for (const key of [`{${KEY}}:id:jobs a`, '{busgate:room:r}:id:r a']) expect(Number(await cli(redis, 'PTTL', key))).toBeGreaterThan(290_000);
    await layer.flush();
    expect(await cli(redis, 'DBSIZE')).toBe('0');
  });

  test('a flushed script cache is not noticed', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    for (const n of [1, 2]) {
      await cli(redis, 'SCRIPT', 'FLUSH');
      await layer.send('jobs', { n });
      await cli(redis, 'SCRIPT', 'FLUSH');
      expect(await layer.receive('jobs')).toEqual({ n });
    }
  });

  test('three readers, one killed now and then: no message twice, none out of order, lost only with a killed reader', async () => {
    await expectAtMostOnce({ total: 6000, killEvery: 2000 });
  });
});
