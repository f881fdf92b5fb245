import { openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Log } from './log.ts';
import { cli } from './support.ts';

test.each([
  ['', 'busgate:queue:broken'],
  ['?wire=channels-core', 'asgibroken'],
  ['?wire=channels-core&encryptionKeys=k', 'asgibroken'],
])('%s: a member of a group whose key holds something else fails alone: the others have the message, once', async (query, key) => {
  const log = new Log();
  await using redis = await startRedis();
  await using layer = await openLayer(`${redis.url}${query}`, { logger: log });
  await using other = await openLayer(`${redis.url}${query}`);
  const channel = other.newChannel();
  await other.groupAdd('g', channel);
  for (const queue of ['one', 'broken', 'two']) await layer.groupAdd('g', queue);
  await cli(redis, 'SET', key, 'of somebody else');
  for (const n of [1, 2]) expect(await layer.groupSend('g', { n })).toEqual({ dropped: 1 });
  await layer.publish('g', 'x');
  for (const n of [1, 2]) {
    expect(await other.receive(channel)).toEqual({ n });
    for (const queue of ['one', 'two']) expect(await layer.receive(queue)).toEqual({ n });
  }
  await layer.groupAdd('alone', 'broken');
  const alone = layer.groupSend('alone', { n: 3 });
  await (query === ''
    ? expect(alone).resolves.toEqual({ dropped: 1 })
    : expect(alone).rejects.toMatchObject({ message: expect.stringContaining('WRONGTYPE') as string }));
  expect(await cli(redis, 'GET', key)).toBe('of somebody else');
  await log.has('did not reach all its queues');
});

test('a group whose key holds something else reaches nobody, as the error says', async () => {
  await using redis = await startRedis();
  await using layer = await openLayer(redis.url);
  const channel = layer.newChannel();
  await layer.groupAdd('g', channel);
  await cli(redis, 'SET', '{busgate:group:g}:queues', 'of somebody else');
  await expect(layer.groupSend('g', { n: 1 })).rejects.toMatchObject({ code: 'LAYER_AWAY', message: expect.stringContaining('nothing was done') as string });
  await cli(redis, 'DEL', '{busgate:group:g}:queues');
  await layer.groupSend('g', { n: 2 });
  expect(await layer.receive(channel)).toEqual({ n: 2 });
});
