import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { SCRIPTS } from '../src/scripts.ts';
import { append, cli, connects, documented, documentedRules, hasFunctions, listen, state } from './support.ts';

const KEY = '{busgate:room:chat}:history';
const history = [{ rooms: '>', size: 1000, ageMs: 60_000 }];

/** What a `since` is given, gap and messages. */
async function replay(layer: ChannelLayer, since: string | undefined): Promise<string[]> {
  const events: string[] = [];
  const subscription = await layer.subscribe('chat', (event) => events.push(event.gap === true ? 'GAP' : String(Buffer.from(event.payload))), {
    since: since ?? 'none',
  });
  await subscription.close();
  return events;
}

describe('histories on a Redis of their own', () => {
  test('any client appends with the function or the script; a plain PUBLISH beside it is live only', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const { position } = await layer.publish('chat', 'ours');
    const events = await listen(layer, 'chat');
    const second = await append(redis, KEY, 'function');
    const third = await cli(redis, 'EVAL', SCRIPTS.publish.body, '1', KEY, 'script');
    await cli(redis, 'PUBLISH', 'busgate:room:chat', 'plain');
    expect(await events.take(3)).toEqual(['function', 'script', 'plain']);
    const epoch = position?.split(':')[0];
    expect([position, second, third]).toEqual([`${epoch}:1`, `${epoch}:2`, `${epoch}:3`]);
    expect(await replay(layer, position)).toEqual(['function', 'script']);
    expect(layer.stats.unpositioned).toBe(1);
  });

  test("another program's append keeps to the rule that gateways have", async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history: [{ rooms: '>', size: 2, ageMs: 60_000 }] });
    const { position } = await layer.publish('chat', '1');
    for (const text of ['2', '3', '4']) await append(redis, KEY, text);
    expect(await cli(redis, 'XLEN', KEY)).toBe('2');
    expect(await replay(layer, position)).toEqual(['GAP']);
  });

  test('a key that is none of a history, or holds something else, is refused, and nothing is changed', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    await cli(redis, 'SET', 'important', 'mine');
    await cli(redis, 'SET', KEY, 'mine');
    await cli(redis, 'SET', '{busgate:room:other}:epoch', 'mine');
    const before = await cli(redis, 'KEYS', '*');
    const bad = [
      'important',
      'busgate:room:chat',
      '{busgate:room:}:history',
      '{busgate:room:a b}:history',
      '{busgate:queue:x}:history',
      'x{busgate:room:a}:history',
    ];
    for (const key of bad) expect(await append(redis, key, 'x')).toContain('the key of a history is {<prefix>:room:<room>}:history');
    for (const key of [KEY, '{busgate:room:other}:history']) expect(await append(redis, key, 'x')).toContain('WRONGTYPE');
    expect([await cli(redis, 'GET', 'important'), await cli(redis, 'GET', KEY), await cli(redis, 'KEYS', '*')]).toEqual(['mine', 'mine', before]);
    expect(await cli(redis, 'TTL', 'important')).toBe('-1');
    await expect(layer.publish('chat', 'x')).rejects.toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
  });

  test('what is appended to a room without a rule reaches its listeners as a plain PUBLISH does', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history: [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }] });
    const [plain, kept] = [await listen(layer, 'chat'), await listen(layer, 'kept.1')];
    expect(await append(redis, KEY, 'x')).toMatch(/:1$/);
    await append(redis, '{busgate:room:kept.1}:history', 'y');
    await layer.publish('chat', 'end');
    await layer.publish('kept.1', 'end');
    expect([await plain.take(2), await kept.take(2)]).toEqual([
      ['x', 'end'],
      ['y', 'end'],
    ]);
    expect(layer.stats.unpositioned).toBe(0);
  });

  test('a backend with nothing but the documented rules appends; the documented body is the one in use, and loads as the function', async () => {
    expect(documented('Appending to a history', 2).trimEnd()).toBe(SCRIPTS.publish.body.trimEnd());
    await using redis = await startRedis();
    const functions = await hasFunctions(redis);
    const rules = documentedRules('ACL', 2).filter((rule) => functions || !['+fcall', '+spublish'].includes(rule));
    expect(await cli(redis, 'ACL', 'SETUSER', 'backend', 'on', '>secret', ...rules)).toBe('OK');
    const asBackend = ['--user', 'backend', '--pass', 'secret', '--no-auth-warning'];
    const body = documented('Appending to a history', 2);
    expect(await cli(redis, ...asBackend, 'EVAL', body, '1', KEY, 'before any gateway')).toMatch(/:1$/);
    if (!functions) return;
    const library = `#!lua name=busgate\nredis.register_function('busgate_publish', function(KEYS, ARGV)\n${body}\nend)\n`;
    expect(await cli(redis, 'FUNCTION', 'LOAD', 'REPLACE', library)).toBe('busgate');
    expect(await cli(redis, ...asBackend, 'FCALL', 'busgate_publish', '1', KEY, 'by hand')).toMatch(/:2$/);
    expect(await cli(redis, 'ACL', 'LOG')).toBe('');
  });

  test('the function is there again soon after somebody removed it', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const events = await listen(layer, 'chat');
    if (await hasFunctions(redis)) await cli(redis, 'FUNCTION', 'FLUSH');
    await expect.poll(() => append(redis, KEY, 'x')).toMatch(/:1$/);
    expect(await events.next()).toBe('x');
  });

  test('the server is asked who it is once a connection, and not with each publish', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    await listen(layer, 'chat');
    await cli(redis, 'CONFIG', 'RESETSTAT');
    for (let n = 0; n < 20; n += 1) await layer.publish('chat', `${n}`);
    if (await hasFunctions(redis)) for (let n = 0; n < 20; n += 1) await append(redis, KEY, `${n}`);
    const calls = await cli(redis, 'INFO', 'commandstats');
    expect(Number(/cmdstat_info:calls=(\d+)/.exec(calls)?.[1] ?? 0)).toBeLessThanOrEqual(2);
    expect(calls).toContain('cmdstat_xadd:calls=');
  });

  test('what is published in one turn is appended in one step, in order, each at its own position', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const events = await listen(layer, 'chat');
    const [other, between] = [await listen(layer, 'other'), ['a', 'b', 'c', 'd', 'e']];
    await cli(redis, 'CONFIG', 'RESETSTAT');
    const published = await Promise.all(between.map((text) => layer.publish('chat', text)));
    const epoch = published[0]?.position?.split(':')[0];
    expect(published.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5].map((offset) => `${epoch}:${offset}`));
    expect(await cli(redis, 'INFO', 'commandstats')).toContain('cmdstat_evalsha:calls=1,');
    expect(await events.take(5)).toEqual(between);
    void layer.publish('chat', 'f');
    void layer.publish('other', 'g');
    await layer.publish('chat', 'h');
    expect([await events.take(2), await other.next()]).toEqual([['f', 'h'], 'g']);
    expect(await replay(layer, published[2]?.position)).toEqual(['d', 'e', 'f', 'h']);
  });

  test('a live message that is no stamped one is skipped and counted', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const events = await listen(layer, 'chat');
    for (const text of ['no stamp', 'e:1\nx', 'e:x:1\nx', '\nx']) await cli(redis, 'PUBLISH', '{busgate:room:chat}:live', text);
    await layer.publish('chat', 'good');
    expect(await events.next()).toBe('good');
    expect(layer.stats.undecodable).toBe(4);
  });

  test('another server with the same data is a new epoch: a gap for who listens, and for who comes back', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const events = await listen(layer, 'chat');
    const { position } = await layer.publish('chat', 'before');
    await redis.restart();
    await connects(layer, 2);
    const after = await layer.publish('chat', 'after');
    expect(after.position?.split(':')[0]).not.toBe(position?.split(':')[0]);
    expect(await events.take(3)).toEqual(['before', 'GAP', 'after']);
    expect(await replay(layer, position)).toEqual(['GAP']);
    expect(await replay(layer, after.position)).toEqual([]);
  });

  test('everything deleted under us (FLUSHALL): one gap in each process, then the very first message of the new epoch', async () => {
    await using redis = await startRedis();
    await using here = await openLayer(redis.url, { history });
    await using there = await openLayer(redis.url, { history });
    const rooms = [await listen(here, 'chat'), await listen(there, 'chat')];
    const { position } = await here.publish('chat', 'before');
    await cli(redis, 'FLUSHALL');
    await there.publish('chat', 'first');
    await append(redis, KEY, 'second');
    for (const events of rooms) expect(await events.take(4)).toEqual(['before', 'GAP', 'first', 'second']);
    expect(await replay(here, position)).toEqual(['GAP']);
  });

  test('a restart from an old file is noticed, although its offsets are taken again', async () => {
    await using redis = await startRedis({ args: ['--appendonly', 'no', '--dbfilename', 'dump.rdb'] });
    await using layer = await openLayer(redis.url, { history });
    await layer.publish('chat', '1');
    await cli(redis, 'SAVE');
    const file = join(redis.folder, 'data', 'dump.rdb');
    await copyFile(file, `${file}.old`);
    const lost = await layer.publish('chat', 'lost');
    await redis.kill();
    await state(layer, 'away');
    await copyFile(`${file}.old`, file);
    await redis.start();
    await connects(layer, 2);
    await append(redis, KEY, 'in its place');
    expect(await replay(layer, lost.position)).toEqual(['GAP']);
  });

  test('only the subscriber was cut off: what was missed is read from the history, without a gap', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    const events = await listen(layer, 'chat');
    await layer.publish('chat', '1');
    await events.next();
    await cli(redis, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await append(redis, KEY, 'missed');
    await connects(layer, 2);
    await layer.publish('chat', '2');
    expect(await events.take(2)).toEqual(['missed', '2']);
    expect(layer.stats.gaps).toBe(0);
  });

  test('histories and their positions have a time to live', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(redis.url, { history });
    await layer.publish('chat', '1');
    expect(Number(await cli(redis, 'PTTL', KEY))).toBeGreaterThan(0);
    expect(Number(await cli(redis, 'PTTL', '{busgate:room:chat}:epoch'))).toBeGreaterThan(60_000);
    await layer.flush();
    expect(await cli(redis, 'DBSIZE')).toBe('0');
  });
});
