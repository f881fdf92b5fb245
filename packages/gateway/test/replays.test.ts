import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Replays, SHARE_BYTES, type Share } from '../src/limits/replays.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { KeptConnection } from './support/questions.ts';
import { StreamClient } from './support/stream.ts';

const MIB = 1024 * 1024;
/** Four shares a second. */
const RATE = { perSecond: MIB, burst: MIB };

const ENDLESS = 1000;

/** A pace whose time the test says. */
class Paced {
  now = 0;
  /** When it is looked at whose turn it is; undefined while nobody waits. */
  lookAt: number | undefined;
  /** Timers so far. */
  timers = 0;
  readonly replays: Replays;
  #look = (): void => undefined;

  constructor(replay = RATE, replayTotal = RATE) {
    this.replays = new Replays(
      { replay, replayTotal },
      {
        now: () => this.now,
        after: (ms, look) => {
          this.timers += 1;
          this.lookAt = this.now + ms;
          this.#look = look;
        },
      },
    );
  }

  /** Time passes, and whoever is to be looked at is. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    while (this.lookAt !== undefined && this.lookAt <= end) {
      this.now = this.lookAt;
      this.lookAt = undefined;
      this.#look();
      await turn();
    }
    this.now = end;
  }

  /** A reader that reads `bytes` of a history again and again, and how often it has: where nothing holds it up, no more than {@link ENDLESS} times. */
  reader(bytes: number, times = ENDLESS) {
    const reader = { isOpen: true, replayed: undefined, read: 0 };
    const run = async (): Promise<void> => {
      while (reader.read < times) {
        const share = await this.replays.share(reader);
        if (share === undefined) return;
        reader.read += 1;
        share.settle(bytes);
      }
    };
    return { reader, done: run() };
  }
}

/** What goes on by itself has gone on. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the pace of histories', () => {
  test('gives one reader what it may have at once, and then so much a second', async () => {
    const paced = new Paced(RATE, { perSecond: 100 * MIB, burst: 100 * MIB });
    const { reader } = paced.reader(SHARE_BYTES);
    await turn();
    expect([reader.read, paced.replays.waiting]).toEqual([4, 1]);
    await paced.pass(250);
    expect(reader.read).toBe(5);
    await paced.pass(10_000);
    expect([reader.read, paced.replays.bytes]).toEqual([45, 45 * SHARE_BYTES]);
  });

  test('gives all readers together so much a second, each in its turn, and none of them twice before the others', async () => {
    const paced = new Paced();
    const readers = Array.from({ length: 8 }, () => paced.reader(SHARE_BYTES).reader);
    await turn();
    expect(readers.map(({ read }) => read)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    await paced.pass(1000);
    expect(readers.map(({ read }) => read)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    await paced.pass(2000);
    expect(readers.map(({ read }) => read)).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
  });

  test('holds up nobody for one who has had what he may', async () => {
    const paced = new Paced(RATE, { perSecond: 100 * MIB, burst: 100 * MIB });
    const greedy = paced.reader(SHARE_BYTES).reader;
    await turn();
    const modest = paced.reader(1000, 100);
    await modest.done;
    expect([greedy.read, modest.reader.read]).toEqual([4, 100]);
  });

  test('charges what was read, and not what might have been', async () => {
    const paced = new Paced();
    const { reader, done } = paced.reader(1024, 768);
    await done;
    expect([reader.read, paced.timers]).toEqual([768, 0]);
    // A message that has more than a share is owed.
    const large = paced.reader(2 * MIB, 1);
    await large.done;
    const next = paced.reader(0, 1);
    await paced.pass(1900);
    expect(next.reader.read).toBe(0);
    await paced.pass(150);
    expect(next.reader.read).toBe(1);
  });

  test('has one timer for all who wait, and none where nobody does', async () => {
    const paced = new Paced();
    for (let count = 0; count < 1000; count += 1) await paced.reader(0, 1).done;
    expect(paced.timers).toBe(0);
    const shares: (Share | undefined)[] = [];
    for (let count = 0; count < 4; count += 1) shares.push(await paced.replays.share({ isOpen: true, replayed: undefined }));
    const waiting = Array.from({ length: 1000 }, () => paced.reader(0, 1));
    await turn();
    expect([paced.replays.waiting, paced.timers]).toEqual([1000, 1]);
    for (const share of shares) share?.settle(0);
    await Promise.all(waiting.map(({ done }) => done));
    await paced.pass(60_000);
    expect([paced.replays.waiting, paced.timers, paced.lookAt]).toEqual([0, 1, undefined]);
  });

  test('holds up nobody for one who has to wait for longer', async () => {
    const paced = new Paced(RATE, { perSecond: 100 * MIB, burst: 100 * MIB });
    const owing = paced.reader(3 * MIB);
    const { reader } = paced.reader(SHARE_BYTES);
    await turn();
    await paced.pass(900);
    expect([owing.reader.read, reader.read]).toEqual([1, 7]);
  });

  test('forgets who leaves while he waits, and gives up for who has waited for long enough', async () => {
    const paced = new Paced({ perSecond: 1, burst: MIB }, RATE);
    const asked = { isOpen: true, replayed: undefined };
    for (let count = 0; count < 4; count += 1) (await paced.replays.share(asked))?.settle(SHARE_BYTES);
    const late = paced.replays.share(asked, 5000);
    const leaving = paced.reader(SHARE_BYTES);
    leaving.reader.isOpen = false;
    await paced.pass(6100);
    await leaving.done;
    expect([await late, leaving.reader.read, paced.replays.waiting]).toEqual([undefined, 0, 0]);
    const closed = paced.replays.share(asked);
    paced.replays.close();
    expect(await closed).toBeUndefined();
  });

  test('goes on where what may be had at once is less than a share', async () => {
    const paced = new Paced({ perSecond: 1024, burst: 1024 }, RATE);
    const { reader } = paced.reader(1024);
    await turn();
    await paced.pass(10_000);
    expect(reader.read).toBe(11);
  });
});

const HISTORY = [{ rooms: 'kept.>', size: 1000, ageMs: 600_000 }];
const KIB = 1024;
/** What a client may have at once, and then a second. */
const BURST = 512 * KIB;
const SLOW = ['--limits-replay', '2MiB/s burst 512KiB'];
/** One and a half times that, in messages. */
const COUNT = 12;
const PAYLOADS = Array.from({ length: COUNT }, (_, n) => `${n} ${'x'.repeat(64 * KIB)}`);
/** What it takes at least to be given so many times all of it. */
const paceOf = (times: number): number => ((times * 1.5 - 1) * BURST * 1000) / (2 * MIB) - 20;

const numberOf = (text: unknown): number => Number(String(text).split(' ')[0]);

async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

describe('a history that is read again and again comes at its pace, whole and in order', () => {
  const ALL = [...PAYLOADS.keys()];
  let gateway: TestGateway;
  let first: string;

  beforeEach(async () => {
    gateway = await TestGateway.start(SLOW, HISTORY);
    [first = ''] = await gateway.publish('kept.1', 'first', ...PAYLOADS);
  });

  afterEach(async () => {
    await gateway[Symbol.asyncDispose]();
  });

  test.each([
    ['since where it stood', { since: true }],
    ['the newest', { last: COUNT }],
  ])('to a session of /socket that joins again and again, %s, while others have what is live at once', async (_, asked) => {
    await using other = await Client.open(gateway.ws('/room/other'));
    await using socket = await Client.multiplex(gateway.ws('/socket'));
    const numbers = (): number[] => socket.frames.flatMap(({ type, text }) => (type === 'message' ? numberOf(text) : []));
    const took = await elapsed(async () => {
      for (let times = 1; times <= 2; times += 1) {
        socket.send({ type: 'join', room: 'kept.1', ...('since' in asked ? { since: first } : asked) });
        if (times === 2) {
          await until(() => gateway.gateway.state.replays.waiting === 1, 'it waits');
          await gateway.layer.publish('other', 'live');
          await other.until(() => other.received.length === 1);
        }
        await socket.until(() => numbers().length >= COUNT * times);
      }
    });
    expect(numbers()).toEqual([...ALL, ...ALL]);
    expect(took).toBeGreaterThan(paceOf(2));
  });

  test('to a socket and to a stream that begin where they stood', async () => {
    const took = await elapsed(async () => {
      await using socket = await Client.open(gateway.ws(`/room/kept.1?since=${first}`));
      await using stream = await StreamClient.openLines(gateway.port, `/room/kept.1?since=${first}`);
      const numbers = (): number[] =>
        stream.blocks.flatMap((line) => {
          const { type, text } = JSON.parse(line) as Record<string, unknown>;
          return type === 'message' ? numberOf(text) : [];
        });
      await Promise.all([socket.until(() => socket.received.length === COUNT), until(() => numbers().length === COUNT, 'the stream has it')]);
      expect([socket.received.map(numberOf), numbers()]).toEqual([ALL, ALL]);
    });
    expect(took).toBeGreaterThan(paceOf(1));
  });

  test('to polls and histories of one connection, and not to those of another', async () => {
    await using greedy = new KeptConnection(gateway.port);
    await using other = new KeptConnection(gateway.port);
    const numbersOf = async (path: string): Promise<number[]> => (await greedy.ask(path)).messages.map(({ text }) => numberOf(text));
    const took = await elapsed(async () => {
      expect(await numbersOf(`/room/kept.1?since=${first}`)).toEqual(ALL);
      expect(await numbersOf(`/room/kept.1?poll=30&since=${first}`)).toEqual(ALL);
      expect((await other.ask(`/room/kept.1?since=${first}`)).messages).toHaveLength(COUNT);
      expect(await numbersOf(`/room/kept.1?last=12`)).toEqual(ALL);
    });
    // Each is begun once what is owed for those before it has come.
    expect(took).toBeGreaterThan(paceOf(2));
    expect(greedy.opened).toBe(1);
  });
});

test('what a poll that waits is answered is live, and has no turn', async () => {
  await using gateway = await TestGateway.start(['--limits-replay', '1KiB/s', '--limits-replay-total', '1KiB/s'], HISTORY);
  const [first] = await gateway.publish('kept.1', 'first');
  await using connection = new KeptConnection(gateway.port);
  let since = first;
  for (let count = 0; count < 5; count += 1) {
    const polled = connection.ask(`/room/kept.1?poll=30&since=${since}`);
    await until(() => gateway.gateway.state.sessions.poll === 1, 'it waits');
    [since] = await gateway.publish('kept.1', 'x'.repeat(10 * KIB));
    expect((await polled).cursor).toBe(since);
  }
  expect(gateway.gateway.state.replays.bytes).toBe(0);
});
