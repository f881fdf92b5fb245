import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { expectFaults } from '../../../test/support/faults.ts';
import { writeElement } from '../src/channels/elements.ts';
import { hostOf } from '../src/channels/hash.ts';
import { Serializer } from '../src/channels/serializer.ts';
import { Connection } from '../src/connection.ts';
import { Log } from './log.ts';
import { cli, listen, state } from './support.ts';

const WIRES = ['channels-core', 'channels-pubsub'];
const ROOMS = Array.from({ length: 24 }, (_, index) => `r${index}`);

let hosts: readonly Broker[];
let url: string;

beforeAll(async () => {
  hosts = await Promise.all([startRedis(), startRedis(), startRedis()]);
  url = `redis://${hosts.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
});

afterAll(async () => {
  await Promise.all((hosts ?? []).map((host) => host[Symbol.asyncDispose]()));
});

/** The host of a group, as channels_redis takes it. */
function hostOfGroup(wire: string, group: string): Broker {
  return hosts[hostOf(wire === 'channels-core' ? group : `asgi__group__${group}`, hosts.length)] as Broker;
}

describe.each(WIRES)('wire %s on three hosts', (wire) => {
  test('gateways share rooms, groups and channels, whichever host they are on', async () => {
    await using here = await openLayer(`${url}?wire=${wire}`);
    await using there = await openLayer(`${url}?wire=${wire}`);
    expect(new Set(ROOMS.map((room) => hostOfGroup(wire, room))).size).toBe(3);
    for (const room of ROOMS) {
      const events = await listen(there, room);
      const channel = there.newChannel();
      await here.groupAdd(room, channel);
      await here.publish(room, `to ${room}`);
      expect(await events.next()).toBe(`to ${room}`);
      await there.receive(channel);
      for (const n of [1, 2, 3]) await here.groupSend(room, { room, n });
      for (const n of [1, 2, 3]) expect(await there.receive(channel)).toEqual({ room, n });
      await here.send(channel, { direct: room });
      expect(await there.receive(channel)).toEqual({ direct: room });
    }
  });

  test('what one process sends to a group at once arrives in its order', async () => {
    await using here = await openLayer(`${url}?wire=${wire}`);
    await using there = await openLayer(`${url}?wire=${wire}`);
    const events = await listen(there, 'ordered');
    const numbers = Array.from({ length: 90 }, (_, n) => `${n}`);
    await Promise.all(numbers.map((n) => here.publish('ordered', n)));
    expect(await events.take(numbers.length)).toEqual(numbers);
  });

  test('a host that is restarted empty: its rooms are told one gap, and have what follows', async () => {
    await using layer = await openLayer(`${url}?wire=${wire}`);
    const rooms = new Map(await Promise.all(ROOMS.map(async (room) => [room, await listen(layer, room)] as const)));
    for (const host of hosts) {
      await host.kill();
      await state(layer, 'away');
      await expect(layer.publish('r0', 'lost')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
      await host.start({ empty: true });
      await state(layer, 'connected');
      for (const [room, events] of rooms) {
        const isThere = hostOfGroup(wire, room) === host;
        await events.until((all) => all.includes('GAP') || !isThere, 'a gap');
        await layer.publish(room, 'after');
        await events.find((event) => event === 'after');
        const [gap, ...others] = events.all;
        if (isThere) expect(gap).toBe('GAP');
        // The host that has what is sent to this process tells all rooms of the core layer.
        if (isThere || wire === 'channels-core') expect([...(gap === 'GAP' ? others : events.all)]).toEqual(['after']);
        else expect(events.all).toEqual(['after']);
        events.all.length = 0;
      }
    }
  });
});

describe('worker queues of wire channels-core on three hosts', () => {
  test('are filled host by host, read from all, each message once, and lose nothing to an aborted receive', async () => {
    await using here = await openLayer(`${url}?wire=channels-core`);
    await using there = await openLayer(`${url}?wire=channels-core`);
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    for (const n of numbers) await here.send('work', { n });
    expect(await Promise.all(hosts.map((host) => cli(host, 'ZCARD', 'asgiwork')))).toEqual(['20', '20', '20']);
    const received: unknown[] = [];
    for (let round = 0; received.length < numbers.length; round += 1) {
      const reader = round % 2 === 0 ? here : there;
      const leaving = new AbortController();
      const left = expect(reader.receive('empty', { signal: leaving.signal })).rejects.toBe('left');
      const asked = Array.from({ length: Math.min(4, numbers.length - received.length) }, () => reader.receive('work'));
      received.push(...(await Promise.all(asked)).map(({ n }) => n));
      leaving.abort('left');
      await left;
    }
    expect(received.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers);
    await here.send('empty', { last: true });
    expect(await there.receive('empty')).toEqual({ last: true });
  });

  test('as members of groups they get each message on the next host', async () => {
    await using layer = await openLayer(`${url}?wire=channels-core`);
    await layer.groupAdd('all', 'worker');
    for (const n of [1, 2, 3]) await layer.groupSend('all', { n });
    expect(await Promise.all(hosts.map((host) => cli(host, 'ZCARD', 'asgiworker')))).toEqual(['1', '1', '1']);
    const received = [await layer.receive('worker'), await layer.receive('worker'), await layer.receive('worker')];
    expect(new Set(received.map(({ n }) => n))).toEqual(new Set([1, 2, 3]));
  });
});

describe('wire channels-core on one host', () => {
  test('what comes while a connection is replaced waits for the gap', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=channels-core`);
    const seen: string[] = [];
    await layer.subscribe('chat', (event) => seen.push(event.gap === true ? 'GAP' : layer.status.state));
    const member = await cli(redis, 'ZRANGE', 'asgi:group:chat', '0', '-1');
    const django = await Connection.open({ host: '127.0.0.1', port: redis.port }, { credentials: {}, db: 0, tls: undefined, name: 'test' });
    const serializer = Serializer.forCore({ serializer: 'msgpack', encryptionKeys: [] }, 60_000);
    const killed = cli(redis, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    for (let n = 0; !seen.includes('GAP') || seen.at(-1) === 'GAP'; n += 1) {
      await django.run('zadd', `asgi${member.split('!')[0]}!`, n, writeElement(serializer, { type: 't', n }, [member]));
    }
    await killed;
    django.destroy('done');
    expect(seen.filter((event) => event !== 'connected')).toEqual(['GAP']);
  });
});

describe.each(WIRES)('wire %s on one host', (wire) => {
  test('after a restart each room is told one gap, before anything else', async () => {
    const log = new Log();
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}`, { logger: log });
    await using other = await openLayer(`${redis.url}?wire=${wire}`);
    const rooms = await Promise.all(ROOMS.map((room) => listen(layer, room)));
    await redis.kill();
    await Promise.all([state(layer, 'away'), state(other, 'away')]);
    await expectFaults(layer, log.lines, { connection_lost: 1, unreachable: 1 });
    await redis.start({ empty: true });
    await Promise.all([state(layer, 'connected'), state(other, 'connected')]);
    await expectFaults(layer, log.lines, { connection_lost: 1, unreachable: 1, data_lost: 1 });
    for (const events of rooms) await events.next();
    for (const room of ROOMS) await other.publish(room, 'after');
    for (const events of rooms) {
      await events.next();
      expect(events.all).toEqual(['GAP', 'after']);
    }
  });

  test('closes while its host is away', async () => {
    await using redis = await startRedis();
    const layer = await openLayer(`${redis.url}?wire=${wire}`);
    await listen(layer, 'r');
    await redis.kill();
    await state(layer, 'away');
    await layer.close();
    expect(layer.status.state).toBe('closed');
  });

  test('with encryption and JSON nothing that is written can be read without the key', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}&serializer=json&encryptionKeys=new,old`);
    await using older = await openLayer(`${redis.url}?wire=${wire}&serializer=json&encryptionKeys=old`);
    await using stranger = await openLayer(`${redis.url}?wire=${wire}&serializer=json`);
    const [events, theirs, strange] = [await listen(layer, 'r'), await listen(older, 'r'), await listen(stranger, 'r')];
    await older.publish('r', 'old key');
    await layer.publish('r', 'new key');
    expect(await events.take(2)).toEqual(['old key', 'new key']);
    await stranger.publish('r', 'no key');
    expect(await strange.next()).toBe('no key');
    expect(await theirs.next()).toBe('old key');
    await expect.poll(() => [layer, older, stranger].map(({ stats }) => stats.undecodable)).toEqual([1, 2, 2]);
    await expect(layer.publish('r', new Uint8Array([0xff]))).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    await expect(layer.groupSend('nobody', { bytes: new Uint8Array(1) })).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
  });
});

describe('wire channels-pubsub', () => {
  test('has no queue to receive from, and says why and which layers have', async () => {
    await using layer = await openLayer(`${hosts[0]?.url}?wire=channels-pubsub`);
    for (const call of [() => layer.receive('thumbnails'), () => layer.groupAdd('all', 'thumbnails')]) {
      const message = /nothing waits for one; layers that can: memory:, redis:\/\/ \(not with wire=channels-pubsub\), nats:/;
      await expect(call()).rejects.toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(message) as string });
    }
  });
});
