import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { requireBinary } from '../../../test/support/binaries.ts';
import { startRedis, type Broker } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { freePort } from '../../../test/support/ports.ts';
import { connects, listen, state } from './support.ts';

/** A sentinel that watches a primary alone, and never takes it for dead: what it was told once it goes on saying. */
async function sentinelOf(primary: Pick<Broker, 'port'>, ...config: string[]): Promise<AsyncDisposable & { readonly port: number; readonly child: Child }> {
  const folder = await mkdtemp(join(tmpdir(), 'busgate-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  const watched = [`sentinel monitor mymaster 127.0.0.1 ${primary.port} 1`, 'sentinel down-after-milliseconds mymaster 600000'];
  await writeFile(file, `${[`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...watched, ...config].join('\n')}\n`);
  const child = new Child(await requireBinary('redis-server'), [file, '--sentinel']);
  await child.lines.find((line) => line.includes('+monitor master mymaster'), 'a sentinel that watches');
  return {
    port,
    child,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('sentinels', () => {
  test('one that was left behind names a primary that is dead: the next one is asked', async () => {
    await using primary = await startRedis();
    const dead = { port: await freePort() };
    await using stuck = await sentinelOf(dead);
    await using right = await sentinelOf(primary);
    await using layer = await openLayer(`redis-sentinel://127.0.0.1:${stuck.port},127.0.0.1:${right.port}/mymaster`);
    await state(layer, 'connected');
    const events = await listen(layer, 'r');
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
  });

  test('the primary moves while the sentinel that was asked is gone: another one is asked', async () => {
    await using before = await startRedis();
    await using after = await startRedis();
    await using first = await sentinelOf(before);
    await using second = await sentinelOf(after);
    await using layer = await openLayer(`redis-sentinel://127.0.0.1:${first.port},127.0.0.1:${second.port}/mymaster`);
    const events = await listen(layer, 'r');
    await first.child.kill();
    await connects(layer, 2);
    await layer.publish('r', 'x');
    expect(await events.take(2)).toEqual(['GAP', 'x']);
  });

  test('one that wants a password which the URL has not is REFUSED, with where it is to be named', async () => {
    await using primary = await startRedis();
    await using closed = await sentinelOf(primary, 'requirepass secret');
    const url = `redis-sentinel://127.0.0.1:${closed.port}/mymaster`;
    for (const query of ['', '?sentinelPassword=wrong']) await expect(openLayer(`${url}${query}`)).rejects.toMatchObject({ code: 'REFUSED' });
    await using layer = await openLayer(`${url}?sentinelPassword=secret`);
    expect(layer.status.state).toBe('connected');
  });
});
