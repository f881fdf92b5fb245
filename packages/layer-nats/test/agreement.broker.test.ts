import { openLayer, type ChannelLayer } from '@busgate/layer';
import { connect as natsConnect } from 'nats';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';
import { BrokerClock } from '../src/broker-clock.ts';
import { connect } from '../src/connection.ts';
import { decide } from '../src/decisions.ts';
import { JetStream } from '../src/jetstream.ts';
import { Session } from '../src/session.ts';
import { parseUrl } from '../src/url.ts';

afterEach(() => vi.restoreAllMocks());

const ignore = (): void => undefined;

/** What one process needs to agree with others, as in a cluster. */
async function begin(nats: Broker): Promise<{ session: Session; decideOn: (own: string) => Promise<string> }> {
  const target = parseUrl(nats.url);
  const session = new Session(await connect(target.servers[0]!, target, 'test', { publishRefused: ignore, complaint: ignore, peers: ignore }), ignore);
  const jetStream = new JetStream(undefined, ignore);
  const clock = new BrokerClock(jetStream, 'agreed.now', async () => (await jetStream.store(session, 'agreed.now', new Uint8Array(0))).stream);
  const parts = { jetStream, brokerTime: (through: Session): Promise<number> => clock.read(through) };
  return { session, decideOn: async (own) => String((await decide(parts, session, { stream: 'AGREED', subject: 'agreed.how' }, { own }))['own']) };
}

describe('processes whose clocks differ', () => {
  test.each([3_600_000, -3_600_000])('by an hour (%i ms) agree on how a stream is made all the same', async (skew) => {
    await using nats = await startNats();
    const admin = await natsConnect({ servers: nats.url });
    await (await admin.jetstreamManager()).streams.add({ name: 'AGREED', subjects: ['agreed.>'], max_msgs_per_subject: 1 });
    const [one, two] = [await begin(nats), await begin(nats)];
    expect(await one.decideOn('of one')).toBe('of one');
    const right = Date.now.bind(Date);
    vi.spyOn(Date, 'now').mockImplementation(() => right() + skew);
    expect(await two.decideOn('of two')).toBe('of one');
    vi.restoreAllMocks();
    for (const { session } of [one, two]) await session.close();
    await admin.close();
  });
});

describe('a stream of ours', () => {
  test('is made once by all who need it at the same moment, and none of them fails', async () => {
    await using nats = await startNats();
    for (let n = 0; n < 100; n += 1) {
      const layers = await Promise.all([1, 2, 3, 4].map(() => openLayer(nats.url, { prefix: `made${n}` })));
      const sent = await Promise.allSettled(layers.map((layer, from) => layer.send('work', { from })));
      expect(sent.filter(({ status }) => status === 'rejected')).toEqual([]);
      await Promise.all(layers.map((layer) => layer.close()));
    }
  });

  test.each([
    ['its queues', 'FOREIGN_QUEUE', 'bg.queue.>', (layer: ChannelLayer) => layer.send('work', { n: 1 })],
    ['its histories', 'FOREIGN_ROOMS', 'bg.room.>', (layer: ChannelLayer) => layer.publish('kept.a', '1')],
  ])('that another one keeps from %s is refused with the name of that one', async (_what, name, subject, use) => {
    await using nats = await startNats();
    const admin = await natsConnect({ servers: nats.url });
    await (await admin.jetstreamManager()).streams.add({ name, subjects: [subject] });
    await using layer = await openLayer(nats.url, { prefix: 'bg', history: [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }] });
    await expect(use(layer)).rejects.toMatchObject({ code: 'LAYER_AWAY', message: expect.stringContaining(`${name} captures some of bg.`) as string });
    await (await admin.jetstreamManager()).streams.delete(name);
    await use(layer);
    await admin.close();
  });
});

describe('the capacity of worker queues', () => {
  test('a process that only reads changes nothing about it', async () => {
    await using nats = await startNats();
    await using sender = await openLayer(nats.url, { capacity: 3 });
    await sender.send('work', { n: 0 });
    await using reader = await openLayer(nats.url);
    expect(await reader.receive('work')).toEqual({ n: 0 });
    for (let n = 1; n <= 3; n += 1) await sender.send('work', { n });
    await expect(sender.send('work', { n: 4 })).rejects.toMatchObject({ code: 'CHANNEL_FULL', message: expect.stringContaining('3 unexpired') as string });
  });

  test('a process that read before anybody sent does not bind those who send', async () => {
    await using nats = await startNats();
    await using reader = await openLayer(nats.url, { capacity: 1 });
    const received = reader.receive('work');
    await reader.send('other', { made: true });
    await using sender = await openLayer(nats.url, { capacity: 3 });
    await sender.send('work', { n: 0 });
    expect(await received).toEqual({ n: 0 });
    for (let n = 1; n <= 3; n += 1) await sender.send('work', { n });
    await expect(sender.send('work', { n: 4 })).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
  });

  test('an error names the bound that was met, whoever set it', async () => {
    await using nats = await startNats();
    await using first = await openLayer(nats.url, { capacity: 2 });
    await first.send('work', { n: 0 });
    await using second = await openLayer(nats.url, { capacity: 4 });
    for (let n = 1; n <= 3; n += 1) await second.send('work', { n });
    await expect(first.send('work', { n: 4 })).rejects.toMatchObject({ code: 'CHANNEL_FULL', message: expect.stringContaining('4 unexpired') as string });
  });
});
