import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { Janitor } from '../src/channels/janitor.ts';
import { ChannelsNames } from '../src/channels/names.ts';
import { Connection } from '../src/connection.ts';
import { Log } from './log.ts';
import { cli, listen } from './support.ts';

const LIVES = 'asgi:busgate:core:lives';
const DEAD = 'deaddeaddeaddead';
/** A process of Django's has an id of its own kind. */
const PYTHON = 'specific.0123456789abcdefdeaddeaddeaddead!';
const MEMBERS = [`specific.${DEAD}!g-1`, `specific.${DEAD}!7`, `${PYTHON}x`, 'specific.aliveaalivealive!g-1', 'worker'];

let redis: Broker;
let connection: Connection;

beforeAll(async () => {
  redis = await startRedis();
  connection = await Connection.open({ host: '127.0.0.1', port: redis.port }, { credentials: {}, db: 0, tls: undefined, name: 'test' });
});

afterAll(async () => {
  connection?.destroy('closed');
  await redis?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await cli(redis, 'FLUSHALL');
});

/** The janitor of a gateway, with what it is told. */
function janitorOf(process: string): { janitor: Janitor; log: Log; losses: () => number } {
  const log = new Log();
  let losses = 0;
  const janitor = new Janitor(connection, new ChannelsNames('asgi', process), { groupExpiryMs: 86_400_000, logger: log }, () => (losses += 1));
  return { janitor, log, losses: () => losses };
}

async function looks(count: number, ...janitors: readonly { janitor: Janitor }[]): Promise<void> {
  for (let look = 0; look < count; look += 1) for (const { janitor } of janitors) await janitor.sayAlive();
}

async function plant(): Promise<void> {
  for (const group of ['chat', 'news']) for (const [score, member] of MEMBERS.entries()) await cli(redis, 'ZADD', `asgi:group:${group}`, `${score}`, member);
  await cli(redis, 'ZADD', 'asgi2:group:chat', '1', MEMBERS[0] as string);
  await cli(redis, 'ZADD', `asgispecific.${DEAD}!`, '1', 'unread');
}

describe('a gateway that died without leaving its groups', () => {
  test('is taken out of them, with the channels that Django added, when it has said nothing for four looks; nobody else is', async () => {
    await plant();
    await looks(1, janitorOf(DEAD));
    const peer = janitorOf('aliveaalivealive');
    await looks(4, peer);
    expect(await cli(redis, 'ZCARD', 'asgi:group:chat')).toBe('5');
    await looks(1, peer);
    await peer.log.has(`taken out of its groups {"process":"${DEAD}","memberships":4}`);
    for (const group of ['chat', 'news']) expect((await cli(redis, 'ZRANGE', `asgi:group:${group}`, '0', '-1')).split('\n')).toEqual(MEMBERS.slice(2));
    expect(await cli(redis, 'EXISTS', `asgispecific.${DEAD}!`, 'asgi2:group:chat')).toBe('1');
    expect(await cli(redis, 'HKEYS', LIVES)).toBe('aliveaalivealive');
  });

  test('one that says anything between two looks lives', async () => {
    await plant();
    const [other, peer] = [janitorOf(DEAD), janitorOf('aliveaalivealive')];
    await looks(8, other, peer);
    expect(await cli(redis, 'ZCARD', 'asgi:group:chat')).toBe('5');
    expect([other.losses(), peer.losses()]).toEqual([0, 0]);
    expect(await cli(redis, 'HLEN', LIVES)).toBe('2');
  });

  test('looks before an outage do not count', async () => {
    await plant();
    await looks(1, janitorOf(DEAD));
    const peer = janitorOf('aliveaalivealive');
    await looks(4, peer);
    peer.janitor.forget();
    await looks(4, peer);
    expect(await cli(redis, 'ZCARD', 'asgi:group:chat')).toBe('5');
    expect(peer.losses()).toBe(0);
  });

  test('one that was paused so long finds out, once', async () => {
    const [paused, peer] = [janitorOf(DEAD), janitorOf('aliveaalivealive')];
    await looks(1, paused);
    await looks(5, peer);
    await peer.log.has('taken out of its groups');
    await looks(2, paused, peer);
    expect([paused.losses(), peer.losses()]).toEqual([1, 0]);
  });

  test('where the one that cleans up ends meanwhile, another one does', async () => {
    await plant();
    await looks(1, janitorOf(DEAD));
    const [first, second] = [janitorOf('aliveaalivealive'), janitorOf('alivebalivealive')];
    await looks(5, first);
    await first.janitor.leave();
    // As if it had died after its first step.
    await cli(redis, 'HSET', LIVES, DEAD, 'being cleaned up');
    await looks(5, second);
    await second.log.has(DEAD);
    expect((await cli(redis, 'ZRANGE', 'asgi:group:chat', '0', '-1')).split('\n')).toEqual(MEMBERS.slice(2));
    expect(await cli(redis, 'HKEYS', LIVES)).toBe('alivebalivealive');
  });

  test('a layer is on the list before it is in a group, and off it when it closes', async () => {
    const layer = await openLayer(`${redis.url}?wire=channels-core`);
    await listen(layer, 'chat');
    const process = /specific\.(.*)!/.exec(await cli(redis, 'ZRANGE', 'asgi:group:chat', '0', '-1'))?.[1] ?? '';
    expect(await cli(redis, 'HKEYS', LIVES)).toBe(process);
    expect(Number(await cli(redis, 'TTL', LIVES))).toBeGreaterThan(80_000);
    await layer.close();
    expect(await cli(redis, 'KEYS', '*')).toBe('');
  });
});
