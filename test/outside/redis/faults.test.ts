import { openLayer, type ChannelLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { Log } from '../../../packages/layer-redis/test/log.ts';
import { cli, connects, listen, state } from '../../../packages/layer-redis/test/support.ts';
import { startRedis } from '../../support/brokers.ts';
import { expectFaults, faultsOf } from '../../support/faults.ts';

/** The code with which a call ends; `taken` where it does not fail. */
function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'taken',
    (error: { code?: string }) => String(error.code),
  );
}

async function expectToWork(layer: ChannelLayer, room: string): Promise<void> {
  const events = await listen(layer, room);
  await layer.publish(room, 'works');
  expect(await events.next()).toBe('works');
}

describe('when Redis misbehaves', () => {
  test('the output buffer limit cuts off the subscriber: each room is told, and it goes on', async () => {
    const log = new Log();
    await using redis = await startRedis({ config: ['client-output-buffer-limit pubsub 1mb 1mb 1'] });
    await using layer = await openLayer(redis.url, { logger: log });
    const events = await listen(layer, 'r');
    await cli(redis, 'EVAL', "for _ = 1, 4 do redis.call('PUBLISH', 'busgate:room:r', string.rep('x', 500000)) end", '0');
    await events.find((event) => event === 'GAP');
    await connects(layer, 2);
    await expectToWork(layer, 'other');
    await expectFaults(layer, log.lines, { cut_off: 1 });
  });

  test.each([
    ['pubsub', 1],
    ['normal', 0],
  ] as const)('CLIENT KILL TYPE %s: cut off by a server that lives', async (type, gaps) => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    const events = await listen(layer, 'r');
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', type);
    await connects(layer, 2);
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all.filter((event) => event === 'GAP')).toHaveLength(gaps);
    await expectFaults(layer, log.lines, { cut_off: 1 });
    await log.has('the broker is away');
  });

  test('out of memory without eviction: what is refused is counted and logged, and the status tells of it', async () => {
    const log = new Log();
    await using redis = await startRedis({ config: ['maxmemory-policy noeviction'] });
    await using layer = await openLayer(redis.url, { logger: log });
    await cli(redis, 'CONFIG', 'SET', 'maxmemory', '1');
    for (let count = 0; count < 2; count += 1) expect(await outcome(layer.send('jobs', {}))).toBe('LAYER_AWAY');
    await expectFaults(layer, log.lines, { out_of_space: 2 });
    expect(layer.status).toMatchObject({ state: 'connected', reason: expect.stringMatching(/^out_of_space: .*OOM/) as string });
    expect(log.lines.all.filter((line) => line.includes('"kind":"out_of_space"'))).toHaveLength(1);
    await expectToWork(layer, 'r');
  });

  test('a primary that becomes a replica takes no writes: away, and back when it takes them', async () => {
    const log = new Log();
    await using primary = await startRedis();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    await cli(redis, 'REPLICAOF', '127.0.0.1', `${primary.port}`);
    await state(layer, 'away');
    await expectFaults(layer, log.lines, { read_only: 1 });
    expect(layer.status.reason).toContain('READONLY');
    await cli(redis, 'REPLICAOF', 'NO', 'ONE');
    await connects(layer, 2);
    await expectToWork(layer, 'r');
    expect(faultsOf(layer)).toEqual({ read_only: 1 });
  });

  test('a password that is changed meanwhile: away, refused, and back with the old one', async () => {
    const log = new Log();
    await using redis = await startRedis({ config: ['requirepass old'] });
    const cliWith = (password: string, ...args: string[]): Promise<string> => cli(redis, '-a', password, '--no-auth-warning', ...args);
    await expect(openLayer(redis.url.replace('//', '//:wrong@'))).rejects.toMatchObject({ code: 'REFUSED', fault: 'refused' });
    await using layer = await openLayer(redis.url.replace('//', '//:old@'), { logger: log });
    await cliWith('old', 'CONFIG', 'SET', 'requirepass', 'new');
    await cliWith('new', 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await cliWith('new', 'CLIENT', 'KILL', 'TYPE', 'normal');
    const refused = { state: 'away', reason: expect.stringMatching(/^refused: .*WRONGPASS/) as string };
    await expect.poll(() => layer.status).toMatchObject(refused);
    expect(faultsOf(layer)).toMatchObject({ refused: 1 });
    await log.has('"kind":"refused"');
    await cliWith('new', 'CONFIG', 'SET', 'requirepass', 'old');
    await connects(layer, 2);
    await expectToWork(layer, 'r');
  });

  test('scripts that were flushed are sent anew: nobody notices', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const events = await listen(layer, 'kept');
    const told = log.lines.all.length;
    for (let round = 0; round < 2; round += 1) {
      await cli(redis, 'SCRIPT', 'FLUSH');
      await layer.send('jobs', { round });
      expect(await layer.receive('jobs')).toEqual({ round });
      await layer.publish('kept', `${round}`);
      expect(await events.next()).toBe(`${round}`);
    }
    expect([layer.status.reason, layer.stats.connects, faultsOf(layer)]).toEqual([undefined, 1, {}]);
    expect(log.lines.all.slice(told)).toEqual([]);
  });

  test('what a server that is stopped is sent is bounded, and what passes that is refused as overload', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    redis.pause();
    const payload = new Uint8Array(1_000_000);
    const codes = await Promise.all(Array.from({ length: 100 }, () => outcome(layer.publish('r', payload))));
    const refused = codes.filter((code) => code === 'LAYER_AWAY').length;
    expect(refused).toBeGreaterThan(25);
    expect(faultsOf(layer).overloaded).toBeGreaterThanOrEqual(refused);
    await log.has('"kind":"overloaded"');
    redis.resume();
    await state(layer, 'connected');
  });

  test('a server that is stopped is found so also while too much waits for it: what is said to it for that is not refused as overload', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    redis.pause();
    const codes = Array.from({ length: 100 }, () => outcome(layer.publish('r', new Uint8Array(1_000_000))));
    await state(layer, 'away');
    expect(layer.status.reason).toMatch(/^unresponsive: /);
    expect(new Set(await Promise.all(codes))).toEqual(new Set(['LAYER_AWAY', 'OUTCOME_UNKNOWN']));
    redis.resume();
    await state(layer, 'connected');
  });

  test('killed and restarted empty again and again: memberships and rooms are there each time', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { logger: log });
    const events = await listen(layer, 'r');
    const channel = layer.newChannel();
    await layer.groupAdd('g', channel);
    await layer.groupAdd('g', 'jobs');
    for (let round = 1; round <= 3; round += 1) {
      await redis.kill();
      await expectFaults(layer, log.lines, { connection_lost: round, unreachable: round, ...(round === 1 ? {} : { data_lost: round - 1 }) });
      // The first attempt may meet a server that is just going.
      const unreachable = { state: 'away', reason: expect.stringMatching(/^unreachable: .*ECONNREFUSED/) as string };
      await expect.poll(() => layer.status).toMatchObject(unreachable);
      await redis.start({ empty: true });
      await connects(layer, round + 1);
      await expectFaults(layer, log.lines, { connection_lost: round, unreachable: round, data_lost: round });
      await layer.publish('r', `${round}`);
      expect(await events.take(2)).toEqual(['GAP', `${round}`]);
      await expect.poll(() => cli(redis, 'ZCARD', '{busgate:group:g}:queues')).toBe('1');
      await layer.groupSend('g', { round });
      expect([await layer.receive(channel), await layer.receive('jobs')]).toEqual([{ round }, { round }]);
    }
  });

  test('10,000 rooms are subscribed again in a few commands, and each is told its gap', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url);
    let gaps = 0;
    await Promise.all(Array.from({ length: 10_000 }, (_, index) => layer.subscribe(`r.${index}`, (event) => (gaps += event.gap === true ? 1 : 0))));
    await cli(redis, 'CONFIG', 'RESETSTAT');
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await connects(layer, 2);
    expect(gaps).toBe(10_000);
    const calls = /cmdstat_subscribe:calls=(\d+)/.exec(await cli(redis, 'INFO', 'commandstats'));
    expect(Number(calls?.[1])).toBeLessThan(30);
  });
});
