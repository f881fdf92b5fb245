import { openLayer } from '@busgate/layer';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { startNats, startRedis } from '../support/brokers.ts';
import { freePort } from '../support/ports.ts';

/** Of each process, which are counted. */
const BEATS = 3;
const LONG = { timeout: 90_000, interval: 100 };

/** What a broker was sent and has handed out so far, in whatever unit it counts. */
interface Counts {
  readonly sent: number;
  readonly delivered: number;
}

interface Counted extends AsyncDisposable {
  readonly url: string;
  readonly counts: () => Promise<Counts>;
}

/** Redis counts the bytes of all that it reads and writes, those of who asks for them too (what it answers them is taken off). Commands would be no measure: it counts those within scripts. */
async function countedRedis(): Promise<Counted> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startRedis());
  const asking = new Redis(broker.url);
  stack.defer(() => asking.disconnect());
  let answered = 0;
  const held = stack.move();
  return {
    url: broker.url,
    counts: async () => {
      const text = await asking.info('stats');
      const bytes = (direction: 'input' | 'output'): number => Number(new RegExp(`total_net_${direction}_bytes:(\\d+)`).exec(text)?.[1]);
      const counts = { sent: bytes('input'), delivered: bytes('output') - answered };
      answered += `$${text.length}\r\n${text}\r\n`.length;
      return counts;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function countedNats(): Promise<Counted> {
  await using stack = new AsyncDisposableStack();
  const monitoring = await freePort();
  const broker = stack.use(await startNats({ config: [`http: 127.0.0.1:${monitoring}`] }));
  const held = stack.move();
  return {
    url: broker.url,
    counts: async () => {
      const { in_msgs, out_msgs } = (await (await fetch(`http://127.0.0.1:${monitoring}/varz`)).json()) as { in_msgs: number; out_msgs: number };
      return { sent: in_msgs, delivered: out_msgs };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** What each process of a fleet that does nothing but live exchanges with the broker a second. */
async function exchanged(start: () => Promise<Counted>, size: number, withLeases: boolean): Promise<Counts> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await start());
  const layers = await Promise.all(Array.from({ length: size }, () => openLayer(broker.url)));
  for (const layer of layers) stack.use(layer);
  if (withLeases) for (const layer of layers) await layer.lease();
  await expect.poll(() => layers.map(({ stats }) => stats.peers), LONG).toEqual(layers.map(() => size - 1));
  // By then scripts are loaded, and have been run once.
  await expect.poll(() => layers.every(({ stats }) => stats.roundTrips >= BEATS), LONG).toBe(true);
  const [before, since] = [await broker.counts(), performance.now()];
  const beats = layers.map(({ stats }) => stats.roundTrips + BEATS);
  await expect.poll(() => layers.every(({ stats }, at) => stats.roundTrips >= (beats[at] ?? 0)), LONG).toBe(true);
  const [after, seconds] = [await broker.counts(), (performance.now() - since) / 1000];
  const each = (count: keyof Counts): number => (after[count] - before[count]) / size / seconds;
  return { sent: each('sent'), delivered: each('delivered') };
}

/** What Redis writes to hand out one beat, in bytes. */
const BEAT_BYTES = ['*3', '$7', 'message', '$25', 'busgate:control:processes', '$39', JSON.stringify({ process: '0123456789abcdef', beat: 4 }), ''].join(
  '\r\n',
).length;

/** Of every other process each one hears a beat in 5 s, and nothing else: of a renewal of a lease nobody hears. */
describe.concurrent.each([
  { broker: 'Redis', start: countedRedis, unit: BEAT_BYTES, withLeases: false, hears: 0.2 },
  { broker: 'Redis', start: countedRedis, unit: BEAT_BYTES, withLeases: true, hears: 0.2 },
  { broker: 'NATS', start: countedNats, unit: 1, withLeases: false, hears: 0.2 },
  { broker: 'NATS', start: countedNats, unit: 1, withLeases: true, hears: 0.2 },
])('idle processes on $broker, with leases: $withLeases', ({ start, unit, withLeases, hears }) => {
  test('what each sends is the same in fleets of 2, 4 and 8, and what each hears grows by the beats of the others alone', async () => {
    const fleets = await Promise.all([2, 4, 8].map((size) => exchanged(start, size, withLeases)));
    const [two, four, eight] = fleets.map(({ delivered }) => delivered / unit) as [number, number, number];
    const sent = fleets.map((fleet) => fleet.sent);
    expect(Math.max(...sent) / Math.min(...sent)).toBeLessThan(1.6);
    for (const ofEach of [(eight - two) / 6, (eight - four) / 4]) {
      expect(ofEach).toBeGreaterThan(hears * 0.5);
      expect(ofEach).toBeLessThan(hears * 1.5);
    }
  });
});
