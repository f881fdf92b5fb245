import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectNats } from 'nats';
import { describe, expect, test } from 'vitest';
import { type Broker, startNats, startRedis } from './brokers.ts';
import { Collector } from './events.ts';
import { NatsCluster } from './nats-cluster.ts';
import { sharedNats, sharedRedis } from './shared-brokers.ts';

/** A connection that speaks the broker's lines. */
class Lines implements AsyncDisposable {
  readonly received = new Collector<string>();
  readonly #socket: Socket;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect(Number(port), hostname);
    createInterface({ input: this.#socket })
      .on('line', (line) => this.received.push(line))
      .on('error', () => undefined);
    this.#socket.on('close', () => this.received.end(new Error('the connection is closed')));
  }

  async ask(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.received.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    if (!this.#socket.closed) await once(this.#socket, 'close');
  }
}

async function ask(url: string, line: string): Promise<string> {
  await using lines = new Lines(url);
  return await lines.ask(line);
}

describe('a private redis-server', () => {
  test('keeps what was written over a restart and over a kill, and forgets it when told to', async () => {
    await using redis = await startRedis();
    expect(await ask(redis.url, 'SET key value')).toBe('+OK');
    await redis.restart();
    expect(await ask(redis.url, 'EXISTS key')).toBe(':1');
    await redis.kill();
    await redis.start();
    expect(await ask(redis.url, 'EXISTS key')).toBe(':1');
    await redis.restart({ empty: true });
    expect(await ask(redis.url, 'EXISTS key')).toBe(':0');
  });

  test('takes lines of configuration', async () => {
    await using redis = await startRedis({ config: ['requirepass secret'] });
    expect(await ask(redis.url, 'PING')).toMatch(/^-NOAUTH/);
  });

  test('answers nothing while paused', async () => {
    await using redis = await startRedis();
    await using paused = new Lines(redis.url);
    expect(await paused.ask('PING')).toBe('+PONG');
    redis.pause();
    const answer = paused.ask('ECHO late');
    await using other = await startRedis();
    expect(await ask(other.url, 'PING')).toBe('+PONG');
    expect(paused.received.all).toEqual(['+PONG']);
    redis.resume();
    expect(await answer).toBe('$4');
  });

  test('tells what it said when it does not start', async () => {
    await expect(startRedis({ config: ['no-such-setting 1'] })).rejects.toThrow(/no-such-setting/);
  });
});

test('a private nats-server has JetStream, and takes lines of configuration', async () => {
  await using nats = await startNats({ config: ['max_payload: 2048'] });
  await using lines = new Lines(nats.url);
  const info = JSON.parse((await lines.received.next()).slice('INFO '.length)) as Record<string, unknown>;
  expect(info).toMatchObject({ jetstream: true, max_payload: 2048 });
});

test.each([startRedis, startNats])('nothing is left of a broker after its disposal (%o)', async (start: () => Promise<Broker>) => {
  const broker = await start();
  await access(broker.folder);
  await broker[Symbol.asyncDispose]();
  await expect(access(broker.folder)).rejects.toThrow(/ENOENT/);
  await expect(ask(broker.url, 'PING')).rejects.toThrow(/closed/);
});

test('shared brokers answer', async () => {
  await using redis = await sharedRedis();
  await using nats = await sharedNats();
  expect(await ask(redis.url, 'PING')).toBe('+PONG');
  expect(await ask(nats.url, 'PING')).toMatch(/^INFO .*"jetstream":true/);
});

test('a cluster of nats-servers makes streams of three copies from its start on, whichever of them is asked', async () => {
  await using cluster = await NatsCluster.start();
  for (const [index, { port }] of cluster.nodes.entries()) {
    const client = await connectNats({ servers: `127.0.0.1:${port}` });
    const { streams } = await client.jetstreamManager();
    const { config } = await streams.add({ name: `S${index}`, subjects: [`s.${index}`], num_replicas: 3 });
    expect(config.num_replicas).toBe(3);
    await client.close();
  }
});
