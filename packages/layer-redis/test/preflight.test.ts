import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { Preflight } from '../src/preflight.ts';
import { Log } from './log.ts';

/** What is said of a server that answers so. */
async function said(info: string, limits = 'normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60'): Promise<string[]> {
  const log = new Log();
  const preflight = new Preflight(log);
  const run = async (name: string): Promise<unknown> =>
    name === 'info' ? Buffer.from(info) : [Buffer.from('client-output-buffer-limit'), Buffer.from(limits)];
  await preflight.check({ run });
  await preflight.check({ run });
  return log.lines.all;
}

describe('what a server says of itself', () => {
  test.each([
    ['6.0.20', true],
    ['5.0.14', true],
    ['6.2.0', false],
    ['7.0.15', false],
    ['10.0.0', false],
  ])('redis_version %s: too old %s, said once', async (version, old) => {
    expect(await said(`redis_version:${version}\r\nmaxmemory:0\r\n`)).toEqual(
      old ? [`warn this Redis is too old: queues and histories need 6.2 {"version":"${version}"}`] : [],
    );
  });

  test.each([
    [100, 'allkeys-lru', 'when memory runs out'],
    [100, 'volatile-ttl', 'when memory runs out'],
    [0, 'allkeys-lru', 'as soon as it is given a maxmemory'],
    [100, 'noeviction', undefined],
  ])('maxmemory %i, maxmemory_policy %s: evicts %s', async (maxmemory, policy, when) => {
    const warning = `warn Redis may evict queues, memberships and histories ${when}: set maxmemory-policy noeviction {"policy":"${policy}","maxmemory":${maxmemory}}`;
    expect(await said(`redis_version:7.2.0\r\nmaxmemory:${maxmemory}\r\nmaxmemory_policy:${policy}\r\n`)).toEqual(when === undefined ? [] : [warning]);
  });

  test.each([
    ['pubsub 33554432 8388608 60', 0],
    ['pubsub 0 0 0', 0],
    ['pubsub 1048576 8388608 60', 1],
    ['pubsub 33554432 1048576 60', 1],
  ])('%s: %i warnings', async (limits, warnings) => {
    expect(await said('redis_version:7.2.0\r\n', limits)).toHaveLength(warnings);
  });
});
