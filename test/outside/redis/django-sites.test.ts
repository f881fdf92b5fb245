import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, listen } from '../../../packages/layer-redis/test/support.ts';
import { Client } from '../../e2e/clients.ts';
import { type Broker, startRedis } from '../../support/brokers.ts';
import { startGateway } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import { DjangoEnvironment, type SiteConfig } from './django.ts';

const WIRES = ['channels-core', 'channels-pubsub'] as const;
/** A killed gateway is a member no longer than this. */
const LEASE_MS = 30_000;
/** A gateway that lives says something new so often, and looks who else does. */
const LOOK_MS = 5000;

let python: DjangoEnvironment;

beforeAll(async () => {
  python = await DjangoEnvironment.make();
});

afterAll(async () => {
  await python?.[Symbol.asyncDispose]();
});

const KEYS = ['k, ey&1=é%', 'old'];
const SAID = `encryptionKeys=${KEYS.map(encodeURIComponent).join(',')}`;

/** How a site writes, and how a URL says so. */
const FORMATS: readonly (readonly [name: string, wires: readonly string[], site: Omit<SiteConfig, 'hosts'>, said: string])[] = [
  ['encryption', WIRES, { symmetric_encryption_keys: KEYS }, SAID],
  ['JSON', WIRES, { serializer_format: 'json' }, 'serializer=json'],
  [
    'JSON, encryption and random bytes of another length',
    ['channels-core'],
    { serializer_format: 'json', symmetric_encryption_keys: KEYS, random_prefix_length: 4 },
    `serializer=json&${SAID}&randomPrefixLength=4`,
  ],
  ['no random bytes', ['channels-core'], { random_prefix_length: 0 }, 'randomPrefixLength=0'],
];
const CASES = FORMATS.flatMap(([name, wires, site, said]) => wires.map((wire) => [name, wire, site, said] as const));

describe.each(CASES)('a Django site with %s, wire %s', (_name, wire, site, said) => {
  test('is understood both ways: groups, rooms and channels', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}&${said}`);
    await using django = await python.backend(wire, { ...site, hosts: [redis.url] });
    const events = await listen(layer, 'chat');
    const [mine, theirs] = [layer.newChannel(), (await django.call('new_channel')) as string];
    await django.call('group_add', 'chat', theirs);
    const message = {
      type: 'chat.message',
      text: 'Grüße 漢字 😀 \u0000 "\\',
      nested: { list: [1, -1, 1.5, true, null, [{}]], '': 'ключ' },
      long: 'x'.repeat(70_000),
    };
    await django.call('group_send', 'chat', message);
    expect(JSON.parse(await events.next())).toEqual(message);
    expect(await django.call('receive', theirs)).toEqual(message);
    await layer.groupSend('chat', message);
    expect(JSON.parse(await events.next())).toEqual(message);
    expect(await django.call('receive', theirs)).toEqual(message);
    await layer.publish('chat', '{"plain": "text"}');
    expect(await events.next()).toBe('{"plain": "text"}');
    expect(await django.call('receive', theirs)).toEqual({ type: 'busgate.message', text: '{"plain": "text"}' });
    await django.call('send', mine, { type: 'websocket.send', text: 'hi' });
    expect(await layer.receive(mine)).toEqual({ type: 'websocket.send', text: 'hi' });
    await layer.send(theirs, { type: 'direct', n: 1 });
    expect(await django.call('receive', theirs)).toEqual({ type: 'direct', n: 1 });
    expect(layer.stats.undecodable).toBe(0);
  });
});

describe.each(WIRES)('encryption on wire %s', (wire) => {
  test('a key that is on its way out still decrypts; what no key decrypts is skipped and counted', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=${wire}&${SAID}`);
    await using older = await python.backend(wire, { hosts: [redis.url], symmetric_encryption_keys: ['old'] });
    await using stranger = await python.backend(wire, { hosts: [redis.url], symmetric_encryption_keys: ['another'] });
    await using plain = await python.backend(wire, { hosts: [redis.url] });
    const events = await listen(layer, 'chat');
    for (const [n, backend] of [stranger, plain, older].entries()) await backend.call('group_send', 'chat', { type: 't', n });
    expect(JSON.parse(await events.next())).toEqual({ type: 't', n: 2 });
    expect(layer.stats.undecodable).toBe(2);
  });
});

describe('worker queues of encrypted sites, wire channels-core', () => {
  test('go both ways', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=channels-core&${SAID}`);
    await using django = await python.backend('channels-core', { hosts: [redis.url], symmetric_encryption_keys: KEYS });
    await layer.send('thumbnails', { type: 'make', bytes: new Uint8Array([1, 2]) });
    expect(await django.call('receive', 'thumbnails')).toEqual({ type: 'make', bytes: { $bytes: 'AQI=' } });
    await django.call('send', 'work', { type: 'job' });
    expect(await layer.receive('work')).toEqual({ type: 'job' });
    await layer.groupAdd('all', 'work');
    await django.call('group_send', 'all', { type: 'to.group' });
    expect(await layer.receive('work')).toEqual({ type: 'to.group' });
  });
});

describe('a worker of a Django site, wire channels-pubsub', () => {
  test('has what is sent here once it listens', async () => {
    await using redis = await startRedis();
    await using layer = await openLayer(`${redis.url}?wire=channels-pubsub`);
    await using django = await python.backend('channels-pubsub', { hosts: [redis.url] });
    const received = django.call('receive', 'thumbnails');
    await until(
      'the worker listens',
      () => cli(redis, 'PUBSUB', 'NUMSUB', 'thumbnails'),
      (answer) => answer.endsWith('1'),
    );
    await layer.send('thumbnails', { type: 'make', n: 1 });
    expect(await received).toEqual({ type: 'make', n: 1 });
  });
});

describe.each(WIRES)('a Django site on three hosts, wire %s', (wire) => {
  test('groups, rooms and channels reach each other whichever host they are on', async () => {
    await using hosts = new AsyncDisposableStack();
    const servers: Broker[] = [];
    for (let index = 0; index < 3; index += 1) servers.push(hosts.use(await startRedis()));
    await using layer = await openLayer(`redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}?wire=${wire}`);
    await using django = await python.backend(wire, { hosts: servers.map(({ url }) => url) });
    const theirs = (await django.call('new_channel')) as string;
    for (let n = 0; n < 20; n += 1) {
      const group = `group-${n}`;
      const events = await listen(layer, group);
      await django.call('group_add', group, theirs);
      await django.call('group_send', group, { type: 'from.django', n });
      expect(JSON.parse(await events.next())).toEqual({ type: 'from.django', n });
      expect(await django.call('receive', theirs)).toEqual({ type: 'from.django', n });
      await layer.groupSend(group, { type: 'to.django', n });
      expect(JSON.parse(await events.next())).toEqual({ type: 'to.django', n });
      expect(await django.call('receive', theirs)).toEqual({ type: 'to.django', n });
      const mine = layer.newChannel();
      await django.call('send', mine, { type: 'websocket.send', n });
      expect(await layer.receive(mine)).toEqual({ type: 'websocket.send', n });
      const another = (await django.call('new_channel')) as string;
      await layer.send(another, { type: 'direct', n });
      expect(await django.call('receive', another)).toEqual({ type: 'direct', n });
    }
  });
});

describe('worker queues of a Django site on three hosts, wire channels-core', () => {
  test('a worker in Python has what is sent here, and what Python sends is read here', async () => {
    await using hosts = new AsyncDisposableStack();
    const servers: Broker[] = [];
    for (let index = 0; index < 3; index += 1) servers.push(hosts.use(await startRedis()));
    await using layer = await openLayer(`redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}?wire=channels-core`);
    await using django = await python.backend('channels-core', { hosts: servers.map(({ url }) => url) });
    for (let n = 0; n < 12; n += 1) await layer.send('thumbnails', { type: 'make', n });
    const made: unknown[] = [];
    for (let n = 0; n < 12; n += 1) made.push(await django.call('receive', 'thumbnails'));
    expect(new Set(made.map((message) => (message as { n: number }).n)).size).toBe(12);
    for (let n = 0; n < 12; n += 1) await django.call('send', 'work', { type: 'job', n });
    const jobs = await Promise.all(Array.from({ length: 12 }, () => layer.receive('work')));
    expect(new Set(jobs.map(({ n }) => n)).size).toBe(12);
  });
});

describe('a gateway that is killed, wire channels-core', () => {
  const members = async (redis: Broker): Promise<string[]> =>
    (await cli(redis, 'ZRANGE', 'asgi:group:chat', '0', '-1')).split('\n').filter((name) => name !== '');
  /** The members that are left when there are so few. That is to be within the lease by the looks of the gateway that lives: a busy machine is late with all. */
  const whenLeft = async (redis: Broker, killed: string, count: number): Promise<string[]> => {
    const process = /\.([^.!]+)!/.exec(killed)?.[1];
    const said = new Set<string>();
    const left = await until(
      'the killed gateway has left',
      async () => {
        const lives = (await cli(redis, 'HGETALL', 'asgi:busgate:core:lives')).split('\n');
        for (const [index, word] of lives.entries()) if (index % 2 === 1 && lives[index - 1] !== process) said.add(word);
        return members(redis);
      },
      (names) => names.length === count,
    );
    expect(said.size).toBeGreaterThan(1);
    expect((said.size - 1) * LOOK_MS).toBeLessThanOrEqual(LEASE_MS);
    return left;
  };
  const gatewayOn = (redis: Broker) => startGateway({ args: ['--demo', '--layer', `${redis.url}?wire=channels-core`] });

  test('leaves its groups within the lease, by another gateway; that one and Django stay', async () => {
    await using redis = await startRedis();
    await using django = await python.backend('channels-core', { hosts: [redis.url] });
    await using survivor = await gatewayOn(redis);
    await using victim = await gatewayOn(redis);
    await using staying = await Client.open(survivor.ws('/room/chat'));
    const [survives] = await members(redis);
    await using lost = await Client.open(victim.ws('/room/chat'));
    const killed = (await members(redis)).find((name) => name !== survives) ?? '';
    const consumer = (await django.call('new_channel')) as string;
    for (const channel of [consumer, `${killed.split('!')[0]}!session`]) await django.call('group_add', 'chat', channel);
    expect(await members(redis)).toHaveLength(4);
    await victim.kill();
    await lost.closed;
    expect(await whenLeft(redis, killed, 2)).toEqual([survives, consumer]);
    await django.call('group_send', 'chat', { type: 'still.here' });
    expect(await django.call('receive', consumer)).toEqual({ type: 'still.here' });
    await staying.until((received) => received.includes('{"type":"still.here"}'));
  });

  test('leaves them by the next one that starts, where it was alone', async () => {
    await using redis = await startRedis();
    await using victim = await gatewayOn(redis);
    await using lost = await Client.open(victim.ws('/room/chat'));
    await victim.kill();
    await lost.closed;
    const [killed = '', ...others] = await members(redis);
    expect(others).toEqual([]);
    await using next = await gatewayOn(redis);
    expect(await whenLeft(redis, killed, 0)).toEqual([]);
    await next.lines.find((line) => line.includes('a gateway that died was taken out of its groups'));
  });
});
