import { setImmediate as turn } from 'node:timers/promises';
import { isLayerError } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Connection } from '../src/connection.ts';
import { within } from '../src/proof.ts';

const ACCESS = { credentials: {}, db: 0, tls: undefined, name: 'test' };

/** Longer than a silent connection, or one that does not open, is waited for. */
function holdUp(): void {
  const until = performance.now() + 3000;
  while (performance.now() < until);
}

describe('a process that is held up', () => {
  test('does not judge a server that it has not yet asked', async () => {
    await using redis = await startRedis();
    const opening = Connection.open({ host: '127.0.0.1', port: redis.port }, ACCESS);
    holdUp();
    const connection = await opening;
    const answered = within(connection, 'no answer', connection.run('ping'));
    holdUp();
    expect(String(await answered)).toBe('PONG');
    connection.destroy('over');
  });
});

describe('a connection that the server has ended', () => {
  test('takes nothing more, and says that nothing was done, also before it is closed', async () => {
    await using redis = await startRedis();
    const connection = await Connection.open({ host: '127.0.0.1', port: redis.port }, ACCESS);
    const failures: unknown[] = [];
    const stopped = redis.stop();
    while (connection.alive) {
      connection.run('ping').catch((error: unknown) => failures.push(error));
      await turn();
    }
    await stopped;
    const unsent = failures.filter((error) => /writeable|not connected|cannot be reached/.test(String(error)));
    expect(unsent.filter((error) => !isLayerError(error, 'LAYER_AWAY'))).toEqual([]);
    expect(unsent).not.toEqual([]);
  });
});
