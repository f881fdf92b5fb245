import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Janitor } from '../src/channels/janitor.ts';
import { ChannelsNames } from '../src/channels/names.ts';
import { Connection } from '../src/connection.ts';
import { SCRIPTS } from '../src/scripts.ts';
import { Log } from './log.ts';
import { cli, documentedRules, listen } from './support.ts';

/** The rules that docs/layer-redis.md gives for these wires. */
const RULES = documentedRules('Wire channels', 0);
const CORE_RULES = RULES.map((rule) => (rule === 'allchannels' ? '&asgi:busgate:*' : rule));

describe.each([
  ['channels-core', CORE_RULES],
  ['channels-pubsub', RULES],
])('a user with nothing but the documented rules, wire %s', (wire, rules) => {
  test('can do everything', async () => {
    await using redis = await startRedis();
    expect(await cli(redis, 'ACL', 'SETUSER', 'gateway', 'on', '>secret', ...rules)).toBe('OK');
    for (const format of ['', '&encryptionKeys=k']) {
      await using layer = await openLayer(`${redis.url.replace('//', '//gateway:secret@')}?wire=${wire}${format}`);
      const events = await listen(layer, 'r');
      await layer.publish('r', 'x');
      expect(await events.next()).toBe('x');
      const channel = layer.newChannel();
      await layer.groupAdd('g', channel);
      await layer.groupSend('g', { n: 1 });
      expect(await layer.receive(channel)).toEqual({ n: 1 });
      await layer.send('thumbnails', { n: 2 });
      if (wire === 'channels-core') {
        expect(await layer.receive('thumbnails')).toEqual({ n: 2 });
        await layer.groupAdd('g', 'thumbnails');
        await layer.groupDiscard('g', 'thumbnails');
      }
      await layer.flush();
    }
    if (wire === 'channels-core') await cleanUp(redis.port);
    expect(await cli(redis, 'ACL', 'LOG')).toBe('');
  });
});

/** What is done only where a gateway died, or comes back. */
async function cleanUp(port: number): Promise<void> {
  const access = { credentials: { username: 'gateway', password: 'secret' }, db: 0, tls: undefined, name: 'test' };
  const connection = await Connection.open({ host: '127.0.0.1', port }, access);
  const log = new Log();
  const options = { groupExpiryMs: 86_400_000, logger: log };
  await new Janitor(connection, new ChannelsNames('asgi', 'dead'), options, () => undefined).sayAlive();
  await connection.run('zadd', 'asgi:group:g', 1, 'specific.dead!g-1');
  expect(await SCRIPTS.channelsRenewMember.run(connection, ['asgi:group:g', 'asgi:busgate:added:g'], 'thumbnails', 1000, 500)).toBe(1);
  const janitor = new Janitor(connection, new ChannelsNames('asgi', 'alive'), options, () => undefined);
  for (let look = 0; look < 5; look += 1) await janitor.sayAlive();
  await log.has('"process":"dead","memberships":1');
  await janitor.leave();
  connection.destroy('done');
}
