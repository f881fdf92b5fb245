import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { connect, type JsMsg, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestBackend } from '../../packages/gateway/test/support/backend.ts';
import { type Broker, startNats } from '../support/brokers.ts';
import type { Child } from '../support/child.ts';
import { runBusgate, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const ECHO = join(import.meta.dirname, 'modules/echo.ts');

let nats: Broker;
let other: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  other = await connect({ servers: nats.url });
});

afterAll(async () => {
  await other?.close();
  await nats?.[Symbol.asyncDispose]();
});

const gatewayArgs = (route: string): string[] => ['--layer', nats.url, '--routes', `[{path: /app, kind: events, ${route}}]`];

interface WorkerEvent {
  readonly type: string;
  readonly session: string;
  readonly order: number | null;
  readonly reply_channel: string;
  readonly reply_topic: string;
  readonly text?: string;
  readonly code?: number;
}

/** A worker that knows NATS and what PROTOCOL.md says: it binds to the queue's consumer, sends back what it is sent, and keeps the events. */
async function* work(queue: string): AsyncGenerator<WorkerEvent> {
  const consumer = await other.jetstream().consumers.get('BUSGATE_QUEUE', `q_${Buffer.from(queue).toString('base64url')}`);
  for await (const message of await consumer.consume()) {
    if (!(await isTaken(message))) continue;
    const event = message.json<WorkerEvent>();
    const { type, order, reply_channel: channel, reply_topic: topic, text } = event;
    const reply = (members: object): void => other.publish(topic, JSON.stringify({ channel, ...members }));
    if (type === 'websocket.connect') reply({ type: 'websocket.accept', done: order });
    if (type === 'websocket.receive') reply({ type: 'websocket.send', text, done: order });
    yield event;
  }
}

/** As PROTOCOL.md says for servers before 2.10, where taking a message out of the stream decides whose it is; newer ones let it be acknowledged. */
async function isTaken(message: JsMsg): Promise<boolean> {
  if (!/^2\.\d\./.test(other.info?.version ?? '')) return message.ackAck();
  return (await other.jetstreamManager()).streams.deleteMessage('BUSGATE_QUEUE', message.seq).catch(() => false);
}

test('a worker in any language binds to what the gateway has made, and gets the events of each session in their order, the end once', async () => {
  await using one = await startGateway({ args: gatewayArgs('queue: plain') });
  await using two = await startGateway({ args: gatewayArgs('queue: plain') });
  const events: WorkerEvent[] = [];
  const ended = Promise.withResolvers<void>();
  const clients: Client[] = [];
  const working = (async () => {
    for await (const event of work('plain')) {
      events.push(event);
      if (events.filter(({ type }) => type === 'websocket.disconnect').length === 10) return ended.resolve();
    }
  })();
  for (let n = 0; n < 10; n += 1) clients.push(await Client.open((n % 2 === 0 ? one : two).ws('/app')));
  const texts = Array.from({ length: 20 }, (_, n) => `message ${n}`);
  for (const client of clients) for (const text of texts) client.send(text);
  await Promise.all(clients.map((client) => client.until((received) => received.length === texts.length)));
  for (const client of clients) expect(client.received).toEqual(texts);
  for (const client of clients) client.socket.close(4001);
  await ended.promise;
  await working;
  for (const [session, own] of Map.groupBy(events, (event) => event.session)) {
    expect(own.map(({ order }) => order), session).toEqual(Array.from({ length: 22 }, (_, n) => n)); // prettier-ignore
    expect(own.at(-1)).toMatchObject({ type: 'websocket.disconnect', code: 4001 });
  }
});

test('a queue that is full answers a connect with 503, and a disconnect waits beside it until there is a place', async () => {
  await using gateway = await startGateway({ args: [...gatewayArgs('queue: small, capacity: 1'), '--capacity', '1', '--prefix', 'small'] });
  const manager = await other.jetstreamManager();
  const consumer = await other.jetstream().consumers.get('SMALL_QUEUE', `q_${Buffer.from('small').toString('base64url')}`);
  await using first = new Client(gateway.ws('/app'));
  await expect.poll(async () => (await manager.streams.info('SMALL_QUEUE')).state.messages).toBe(1);
  expect(await Client.refused(gateway.ws('/app'))).toBe(503);
  first.socket.terminate();
  await expect.poll(async () => (await manager.streams.info('SMALL_QUEUE')).state.messages).toBe(2);
  const got: WorkerEvent[] = [];
  for await (const message of await consumer.consume()) {
    await message.ackAck();
    if (got.push(message.json()) === 2) break;
  }
  expect(got.map(({ type }) => type)).toEqual(['websocket.connect', 'websocket.disconnect']);
});

async function startWorker(queue: string): Promise<Child> {
  const child = runBusgate(['work', ECHO, '--queue', queue, '--layer', nats.url]);
  await child.lines.find((line) => line.includes('working'));
  return child;
}

const texts = ({ received }: Client): string[] => received.map((message) => String(message).replace(/^\d+ /, ''));

test('busgate work: a worker is replaced under load, and no socket closes and no message is lost, doubled or out of place', async () => {
  await using one = await startGateway({ args: gatewayArgs('queue: rolled') });
  await using two = await startGateway({ args: gatewayArgs('queue: rolled') });
  await using first = await startWorker('rolled');
  const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => Client.open((n % 2 === 0 ? one : two).ws('/app'))));
  const sendAll = (from: number, to: number): void => {
    for (let n = from; n < to; n += 1) for (const client of clients) client.send(String(n));
  };
  sendAll(0, 20);
  await using second = await startWorker('rolled');
  sendAll(20, 40);
  first.signal('SIGTERM');
  expect(await first.exited).toEqual({ code: 0, signal: null });
  sendAll(40, 60);
  await Promise.all(clients.map((client) => client.until((received) => received.length === 60)));
  for (const client of clients) expect(texts(client)).toEqual(Array.from({ length: 60 }, (_, n) => String(n)));
  expect(new Set(clients.map(({ received }) => String(received.at(-1)).split(' ')[0]))).toEqual(new Set([String(second.pid)]));
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test('busgate forward posts each event of a queue once, and each end', async () => {
  await using backend = await TestBackend.start(({ event, answer }) => {
    if (event.type !== 'websocket.receive') return undefined;
    answer(200, { replies: [{ type: 'websocket.send', text: event['text'] as string }] });
    return true;
  });
  await using gateway = await startGateway({ args: gatewayArgs('queue: forwarded') });
  await using forwarder = runBusgate(['forward', 'forwarded', backend.url, '--layer', nats.url]);
  const clients = await Promise.all(Array.from({ length: 5 }, () => Client.open(gateway.ws('/app'))));
  for (const client of clients) for (const text of ['a', 'b', 'c']) client.send(text);
  await Promise.all(clients.map((client) => client.until((received) => received.length === 3)));
  for (const client of clients) expect(client.received).toEqual(['a', 'b', 'c']);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await expect.poll(() => backend.of('websocket.disconnect').length).toBe(5);
  const ids = backend.posts.map(({ event }) => event['id']);
  expect([ids.length, new Set(ids).size]).toEqual([25, 25]);
  forwarder.signal('SIGTERM');
  expect(await forwarder.exited).toEqual({ code: 0, signal: null });
});
