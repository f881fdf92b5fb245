import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { Line } from './line.ts';
import { Log } from './log.ts';
import { allow, cli, connects, listen, state } from './support.ts';

describe('a subscription that is never confirmed', () => {
  test('the connection that follows a deaf one answers and confirms nothing: it is given up, and the next one carries the rooms', async () => {
    await using redis = await startRedis();
    await using line = await Line.to(redis.port);
    await using layer = await openLayer(line.url);
    const events = await listen(layer, 'r');
    line.leaveUnanswered('subscribe');
    line.silence('subscribe');
    await state(layer, 'away');
    await expect.poll(() => layer.status.reason).toContain('no confirmation of a subscription');
    line.leaveUnanswered(undefined);
    await connects(layer, 2);
    await layer.publish('r', 'after');
    expect(await events.take(2)).toEqual(['GAP', 'after']);
  });

  test('the layer opens all the same, and says what is wrong', async () => {
    await using redis = await startRedis();
    await using line = await Line.to(redis.port);
    line.leaveUnanswered('subscribe');
    await using layer = await openLayer(line.url);
    expect(layer.status).toMatchObject({ state: 'away', reason: expect.stringContaining('no confirmation of a subscription') });
    line.leaveUnanswered(undefined);
    await connects(layer, 1);
  });

  test('a room whose letting go is never confirmed can be joined again', async () => {
    await using redis = await startRedis();
    await using line = await Line.to(redis.port);
    await using layer = await openLayer(line.url);
    const subscription = await layer.subscribe('r', () => undefined);
    line.leaveUnanswered('unsubscribe');
    await subscription.close();
    await state(layer, 'away');
    line.leaveUnanswered(undefined);
    await connects(layer, 2);
    const events = await listen(layer, 'r');
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
  });

  test('a reader of a queue whose connection does not answer to its first command gets another one', async () => {
    await using redis = await startRedis();
    await using line = await Line.to(redis.port);
    await using layer = await openLayer(line.url);
    line.leaveUnanswered('ID');
    const received = layer.receive('jobs');
    await expect.poll(() => line.unanswered).toBeGreaterThan(0);
    line.leaveUnanswered(undefined);
    await layer.send('jobs', { n: 1 });
    expect(await received).toEqual({ n: 1 });
  });
});

describe('a channel that is refused', () => {
  const credentials = 'gateway:s%25cret@';

  test('alone among hundreds, on return: its listeners are told a gap and its name is logged, all others hear, and it is heard again once it is permitted', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await allow(redis);
    await using layer = await openLayer(redis.url.replace('//', `//${credentials}`), { logger: log });
    const lone = await listen(layer, 'lone');
    const others = await Promise.all(Array.from({ length: 600 }, (_, index) => listen(layer, `open.${index}`)));
    const open = ['&busgate:room:open.*', '&busgate:process:*', '&busgate:control:*', '&busgate:probe:*'];
    // Redis ends the connection that holds a channel which is not permitted any more.
    await cli(redis, 'ACL', 'SETUSER', 'gateway', 'resetchannels', ...open);
    expect(await lone.next()).toBe('GAP');
    await connects(layer, 2);
    for (const index of others.keys()) await layer.publish(`open.${index}`, 'after');
    for (const events of others) expect(await events.take(2)).toEqual(['GAP', 'after']);
    await log.has('["busgate:room:lone"]');
    await expect(layer.publish('lone', 'x')).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(layer.subscribe('never', () => undefined)).rejects.toMatchObject({ code: 'REFUSED' });
    await cli(redis, 'ACL', 'SETUSER', 'gateway', '&busgate:*');
    expect(await lone.next()).toBe('GAP');
    await layer.publish('lone', 'heard');
    expect(await lone.next()).toBe('heard');
    expect(layer.status.state).toBe('connected');
  });

  test('the channel of the layer itself: it is away, and says which right is missing, until it is permitted', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await allow(redis);
    await using layer = await openLayer(redis.url.replace('//', `//${credentials}`), { logger: log });
    const events = await listen(layer, 'r');
    await cli(redis, 'ACL', 'SETUSER', 'gateway', 'resetchannels', '&busgate:room:*', '&busgate:process:*', '&busgate:control:*');
    await state(layer, 'away');
    await expect.poll(() => layer.status.reason).toContain('NOPERM');
    await log.has('"kind":"refused"');
    await cli(redis, 'ACL', 'SETUSER', 'gateway', '&busgate:*');
    await connects(layer, 2);
    await layer.publish('r', 'after');
    expect(await events.take(2)).toEqual(['GAP', 'after']);
  });
});
