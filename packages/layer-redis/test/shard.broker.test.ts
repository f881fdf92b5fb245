import { expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { accessTo } from '../src/connection.ts';
import { Shard } from '../src/shard.ts';
import { parseUrl, type Node } from '../src/url.ts';
import { Log } from './log.ts';
import { cli } from './support.ts';

const ignore = (): void => undefined;

test('a server that takes the credentials and refuses to subscribe is left with no connection', async () => {
  await using redis = await startRedis();
  await cli(redis, 'ACL', 'SETUSER', 'gateway', 'on', '>secret', '~*', 'resetchannels', '+@all');
  const target = parseUrl(`redis://gateway:secret@127.0.0.1:${redis.port}`);
  const shard = new Shard({
    access: accessTo(target, 'test'),
    logger: new Log(),
    sharded: false,
    probeChannel: 'probe',
    writeProbe: undefined,
    locate: async () => target.nodes[0] as Node,
    relocate: async () => undefined,
    greet: async () => undefined,
    fault: ignore,
    proved: ignore,
    changed: ignore,
    moved: ignore,
  });
  await expect(shard.open()).rejects.toMatchObject({ code: 'REFUSED' });
  await expect.poll(() => cli(redis, 'CLIENT', 'LIST')).not.toContain('user=gateway');
});
