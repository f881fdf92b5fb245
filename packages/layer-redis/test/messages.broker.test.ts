import { Buffer } from 'node:buffer';
import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { openLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../../../test/support/brokers.ts';
import { Collector } from '../../../test/support/events.ts';
import { Connection } from '../src/connection.ts';
import { readAhead } from '../src/message-reader.ts';
import { expectAll } from './payloads.ts';
import { cli, listen } from './support.ts';

let redis: Broker;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis?.[Symbol.asyncDispose]());

function connect(): Promise<Connection> {
  return Connection.open({ host: '127.0.0.1', port: redis.port }, { credentials: {}, db: 0, tls: undefined, name: 'test' });
}

function receive(connection: Connection): { events: Collector<string>; isAhead: boolean } {
  const events = new Collector<string>();
  const isAhead = connection.onMessages({
    message: (channel, payload) => events.push(`${channel} ${String(payload)}`),
    patternMessage: (pattern, channel, payload) => events.push(`${pattern} ${channel} ${String(payload)}`),
  });
  return { events, isAhead };
}

/** Messages of a channel and of a pattern do. */
async function arrive(connection: Connection, events: Collector<string>): Promise<void> {
  await connection.run('subscribe', 'plain');
  await connection.run('psubscribe', 'pat*');
  for (const channel of ['plain', 'pattern']) await cli(redis, 'PUBLISH', channel, 'hello');
  expect(await events.take(2)).toEqual(['plain hello', 'pat* pattern hello']);
  connection.destroy('over');
}

describe('messages are read before the client library', () => {
  test('with the one that is installed, in both versions of the protocol', async () => {
    for (const protocol of [2, 3] as const) {
      const client = new Redis({ port: redis.port, protocol });
      try {
        await client.ping();
        const events = new Collector<string>();
        const toLibrary: Buffer[] = [];
        client.on('messageBuffer', (_, payload: Buffer) => toLibrary.push(payload));
        const handler = { message: (channel: string, payload: Buffer) => events.push(`${channel} ${String(payload)}`), patternMessage: () => undefined };
        expect(readAhead(client.stream, handler)).toBe(true);
        await client.subscribe('installed');
        await cli(redis, 'PUBLISH', 'installed', 'hello');
        expect(await events.next()).toBe('installed hello');
        expect(await client.ping()).toBeDefined();
        expect(toLibrary).toEqual([]);
      } finally {
        client.disconnect();
      }
    }
  });

  test('on a connection of the layer', async () => {
    const connection = await connect();
    const { events, isAhead } = receive(connection);
    expect(isAhead).toBe(true);
    await arrive(connection, events);
  });

  test('where somebody else reads the socket too, the library reads them, and they arrive all the same', async () => {
    const alsoRead = (message: unknown): void => void (message as { socket: Socket }).socket.on('data', () => undefined);
    diagnostics.subscribe('net.client.socket', alsoRead);
    const connection = await connect().finally(() => diagnostics.unsubscribe('net.client.socket', alsoRead));
    const { events, isAhead } = receive(connection);
    expect(isAhead).toBe(false);
    await arrive(connection, events);
  });

  test('none after the connection was destroyed, though more of them came with the same bytes', async () => {
    const connection = await connect();
    const events = new Collector<string>();
    const message = (_: string, payload: Buffer): void => {
      events.push(String(payload));
      connection.destroy('enough');
    };
    connection.onMessages({ message, patternMessage: () => undefined });
    await connection.run('subscribe', 'many');
    await cli(redis, 'EVAL', "for i = 1, 100 do redis.call('PUBLISH', 'many', i) end", '0');
    await connection.ended;
    expect(events.all).toEqual(['1']);
  });
});

describe('whatever is published', () => {
  test('10,000 payloads of any bytes, from none to 1 MiB, arrive as they are and in order', async () => {
    await using layer = await openLayer(redis.url);
    await using publisher = await openLayer(redis.url);
    await expectAll(layer, publisher, 'random', 10_000);
  });

  test('rooms come and go while messages flow: each has what is published while it is there, and no other message is lost', async () => {
    await using layer = await openLayer(redis.url);
    await using publisher = await openLayer(redis.url);
    const steady = await listen(layer, 'steady');
    let stop = false;
    let flowed = 0;
    const flow = (async () => {
      for (; !stop; flowed += 20) await Promise.all(Array.from({ length: 20 }, (_, index) => publisher.publish('steady', `${flowed + index}`)));
    })();
    for (let round = 0; round < 20; round += 1) {
      const rooms = Array.from({ length: 30 }, (_, index) => `passing.${round % 3}.${index}`);
      await Promise.all(
        rooms.map(async (room) => {
          const events = new Collector<string>();
          const subscription = await layer.subscribe(room, (event) => events.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()));
          for (const text of ['one', 'two\r\n', '']) await publisher.publish(room, `${text}${round}`);
          expect(await events.take(3)).toEqual([`one${round}`, `two\r\n${round}`, `${round}`]);
          await subscription.close();
        }),
      );
    }
    stop = true;
    await flow;
    await publisher.publish('steady', 'end');
    await steady.find((event) => event === 'end');
    expect(steady.all).toEqual([...Array.from({ length: flowed }, (_, index) => `${index}`), 'end']);
  });
});
