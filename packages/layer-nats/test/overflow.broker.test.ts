import { Buffer } from 'node:buffer';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { AckPolicy, RetentionPolicy, connect, type NatsConnection } from 'nats';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';

let nats: Broker;
let other: NatsConnection;

beforeEach(async () => {
  nats = await startNats();
  other = await connect({ servers: nats.url });
});

afterEach(async () => {
  await other.close();
  await nats[Symbol.asyncDispose]();
});

const full = (sending: Promise<void>): Promise<void> => expect(sending).rejects.toMatchObject({ code: 'CHANNEL_FULL' });

async function read(layer: ChannelLayer, queue: string, count: number): Promise<unknown[]> {
  const got: unknown[] = [];
  while (got.length < count) got.push((await layer.receive(queue))['n']);
  return got;
}

/** How many messages wait beside queues, and in them. */
async function waiting(): Promise<{ beside: number; inside: number }> {
  const { state } = await (await other.jetstreamManager()).streams.info('BUSGATE_QUEUE', { subjects_filter: '>' });
  const counts = Object.entries(state.subjects ?? {});
  const sum = (kind: string): number => counts.filter(([subject]) => subject.startsWith(`busgate.${kind}.`)).reduce((all, [, count]) => all + count, 0);
  return { beside: sum('over'), inside: sum('queue') };
}

const SENDER = `
import { openLayer } from '@busgate/layer';
const layer = await openLayer(process.argv[1], { capacity: 2 });
for (let n = 0; n < 2; n += 1) await layer.send('work', { n });
for (let n = 2; n < 5; n += 1) await layer.send('work', { n }, { exempt: true });
console.log('sent');
setInterval(() => undefined, 1000);
`;

/** Moves what waits beside queues, as every process does that has sent something. */
const MOVER = `
import { openLayer } from '@busgate/layer';
const layer = await openLayer(process.argv[1], { capacity: 3 });
await layer.send('warm', { n: 0 });
console.log('moves');
setInterval(() => undefined, 1000);
`;

describe('what is sent though its queue is full', () => {
  test('reaches a worker that knows nothing but the queue and its consumer, in order', async () => {
    await using layer = await openLayer(nats.url, { capacity: 2 });
    for (let n = 0; n < 6; n += 1) await layer.send('work', { n }, n < 2 ? {} : { exempt: true });
    expect(await waiting()).toEqual({ beside: 4, inside: 2 });
    const manager = await other.jetstreamManager();
    const durable = `q_${Buffer.from('work').toString('base64url')}`;
    await manager.consumers.add('BUSGATE_QUEUE', { durable_name: durable, filter_subject: 'busgate.queue.work', ack_policy: AckPolicy.Explicit });
    const messages = await other
      .jetstream()
      .consumers.get('BUSGATE_QUEUE', durable)
      .then((consumer) => consumer.consume({ max_messages: 1 }));
    const got: number[] = [];
    for await (const message of messages) {
      await message.ackAck();
      got.push((message.json() as { n: number }).n);
      if (got.length === 6) break;
    }
    expect(got).toEqual([0, 1, 2, 3, 4, 5]);
    await expect.poll(waiting).toEqual({ beside: 0, inside: 0 });
  });

  test('counts for every process, whoever sent it, and for one that comes later', async () => {
    await using reader = await openLayer(nats.url, { capacity: 2 });
    await using here = await openLayer(nats.url, { capacity: 2 });
    await using there = await openLayer(nats.url, { capacity: 2 });
    for (const layer of [here, there]) await layer.send('other', { warm: true });
    for (let n = 0; n < 4; n += 1) await here.send('work', { n }, n < 2 ? {} : { exempt: true });
    await using later = await openLayer(nats.url, { capacity: 2 });
    for (let n = 0; n < 2; n += 1) {
      expect(await read(reader, 'work', 1)).toEqual([n]);
      for (const layer of [later, there, here]) await full(layer.send('work', { late: true }));
    }
    expect(await read(reader, 'work', 1)).toEqual([2]);
    await there.send('work', { n: 4 });
    await full(here.send('work', { n: 5 }));
    expect(await read(reader, 'work', 2)).toEqual([3, 4]);
    await later.send('work', { n: 6 });
    expect(await read(reader, 'work', 1)).toEqual([6]);
  });

  test('what one process sends keeps its order, exempt and not, though nothing is awaited and places are freed all the time', async () => {
    await using reader = await openLayer(nats.url, { capacity: 5 });
    await using sender = await openLayer(nats.url, { capacity: 5 });
    const got: number[] = [];
    const listening = reader.listen('work', (payload) => void got.push((JSON.parse(Buffer.from(payload).toString()) as { n: number }).n), { messages: 3 });
    const accepted: number[] = [];
    const sending: Promise<void>[] = [];
    for (let n = 0; n < 600; n += 1) {
      const sent = sender.send('work', { n }, n % 3 === 0 ? { exempt: true } : {});
      sending.push(sent.then(() => void accepted.push(n), () => expect(n % 3, `exempt ${n}`).not.toBe(0))); // prettier-ignore
      if (n % 7 === 0) await new Promise(setImmediate);
    }
    await Promise.all(sending);
    await sender.send('work', { n: 600 }, { exempt: true });
    await expect.poll(() => got.at(-1)).toBe(600);
    expect(got).toEqual([...accepted.toSorted((a, b) => a - b), 600]);
    await listening.close();
  });

  test('is moved by others where its sender has died', async () => {
    await using sender = new Child(process.execPath, ['--conditions=@busgate/source', '--input-type=module', '-e', SENDER, nats.url]);
    await sender.output.find((line) => line === 'sent');
    await sender.kill();
    expect(await waiting()).toEqual({ beside: 3, inside: 2 });
    await using reader = await openLayer(nats.url, { capacity: 2 });
    expect(await read(reader, 'work', 5)).toEqual([0, 1, 2, 3, 4]);
    await expect.poll(waiting).toEqual({ beside: 0, inside: 0 });
  });

  test('is read once and in order, though several move it and die at it', async () => {
    const start = (): Child => new Child(process.execPath, ['--conditions=@busgate/source', '--input-type=module', '-e', MOVER, nats.url]);
    await using one = start();
    await using two = start();
    for (const mover of [one, two]) await mover.output.find((line) => line === 'moves');
    await using layer = await openLayer(nats.url, { capacity: 3 });
    const sent = Array.from({ length: 150 }, (_, n) => n);
    await Promise.all(sent.map((n) => layer.send('work', { n }, { exempt: true })));
    const got = await read(layer, 'work', 50);
    await one.kill();
    got.push(...(await read(layer, 'work', 50)));
    await two.kill();
    got.push(...(await read(layer, 'work', 50)));
    expect(got).toEqual(sent);
    await expect.poll(waiting).toEqual({ beside: 0, inside: 2 });
  });

  test('outlives a restart of the server', async () => {
    await using layer = await openLayer(nats.url, { capacity: 1 });
    for (let n = 0; n < 3; n += 1) await layer.send('work', { n }, { exempt: true });
    await nats.kill();
    await expect.poll(() => layer.status.state).toBe('away');
    await nats.start();
    await expect.poll(() => layer.status.state).toBe('connected');
    expect(await read(layer, 'work', 3)).toEqual([0, 1, 2]);
  });

  test('lives as long as it was to live when it was sent, wherever it waits', async () => {
    await using layer = await openLayer(nats.url, { capacity: 1 });
    await layer.send('work', { n: 0 });
    await layer.send('work', { n: 1 }, { exempt: true, expiryMs: 300 });
    await layer.send('work', { n: 2 }, { exempt: true });
    const begun = performance.now();
    await expect.poll(() => performance.now() - begun, { interval: 10 }).toBeGreaterThan(320);
    expect(await read(layer, 'work', 2)).toEqual([0, 2]);
  });

  test('an id is one, beside the queue and in it', async () => {
    await using layer = await openLayer(nats.url, { capacity: 1 });
    await layer.send('work', { n: 0 });
    await layer.send('work', { n: 1 }, { id: 'a', exempt: true });
    await layer.send('work', { n: 2 }, { id: 'a', exempt: true });
    expect(await read(layer, 'work', 2)).toEqual([0, 1]);
    await layer.send('work', { n: 3 }, { id: 'a', exempt: true });
    await layer.send('work', { n: 4 });
    expect(await read(layer, 'work', 1)).toEqual([4]);
  });
});

describe('a queue that is full of what has expired', () => {
  test('has its places again, however many they are and wherever they stand', async () => {
    await using layer = await openLayer(nats.url, { capacity: 300 });
    await layer.send('work', { n: 0 });
    await Promise.all(Array.from({ length: 298 }, () => layer.send('work', { n: -1 }, { expiryMs: 200 })));
    await layer.send('work', { n: 1 });
    const begun = performance.now();
    await expect.poll(() => performance.now() - begun, { interval: 10 }).toBeGreaterThan(220);
    for (let n = 2; n < 300; n += 1) await expect.poll(() => layer.send('work', { n }).then(() => 'taken', String), { interval: 0 }).toBe('taken');
    await full(layer.send('work', { n: 300 }));
    expect(await read(layer, 'work', 300)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });
});

describe('a message that leaves no room for headers', () => {
  const LARGE = 'x'.repeat(1_048_576 - '{"n":1,"a":""}'.length);

  test('lives as long as messages live where it is read, and holds no place after that', async () => {
    await using layer = await openLayer(nats.url, { capacity: 2, expiryMs: 1200 });
    for (let n = 0; n < 2; n += 1) await layer.send('work', { n, a: LARGE });
    await full(layer.send('work', { n: 2 }));
    const begun = performance.now();
    await expect.poll(() => performance.now() - begun, { interval: 10 }).toBeGreaterThan(1220);
    await layer.send('work', { n: 3 });
    expect(await read(layer, 'work', 1)).toEqual([3]);
  });

  test('is too large where it cannot do without them', async () => {
    await using layer = await openLayer(nats.url);
    for (const options of [{ exempt: true }, { id: 'a' }, { expiryMs: 1000 }])
      await expect(layer.send('work', { n: 1, a: LARGE }, options)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    await layer.send('work', { n: 2, a: LARGE });
    expect(await read(layer, 'work', 1)).toEqual([2]);
  });
});

test('a stream that others have made, where messages live for ever, is read', async () => {
  await using layer = await openLayer(nats.url);
  const streams = (await other.jetstreamManager()).streams;
  await streams.add({ name: 'BUSGATE_QUEUE', subjects: ['busgate.queue.>'], retention: RetentionPolicy.Workqueue });
  await other.jetstream().publish('busgate.queue.work', JSON.stringify({ n: 1 }));
  expect(await read(layer, 'work', 1)).toEqual([1]);
  expect((await streams.info('BUSGATE_QUEUE')).config.max_age).toBe(0);
});

describe('ids of what is sent', () => {
  test('are forgotten with all that a prefix has, by every process, and remembered again from then on', async () => {
    await using layer = await openLayer(nats.url);
    await using there = await openLayer(nats.url);
    await layer.send('work', { n: 0 }, { id: 'a' });
    for (let round = 1; round < 3; round += 1) {
      await layer.flush();
      await there.send('work', { n: round }, { id: 'a' });
      await layer.send('work', { again: true }, { id: 'a' });
      expect(await read(layer, 'work', 1)).toEqual([round]);
    }
    await layer.send('work', { n: 9 });
    expect(await read(layer, 'work', 1)).toEqual([9]);
  });

  test('are remembered over the death of the server while their messages wait', async () => {
    await using layer = await openLayer(nats.url);
    await layer.send('work', { n: 0 }, { id: 'a' });
    await nats.kill();
    await expect.poll(() => layer.status.state).toBe('away');
    await nats.start();
    await expect.poll(() => layer.status.state).toBe('connected');
    await layer.send('work', { n: 1 }, { id: 'a' });
    await layer.send('work', { n: 2 });
    expect(await read(layer, 'work', 2)).toEqual([0, 2]);
  });
});
