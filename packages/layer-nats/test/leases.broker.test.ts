import { Buffer } from 'node:buffer';
import type { Driver, LeaseRecord, LeaseStore } from '@busgate/layer/driver';
import { connect } from 'nats';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';
import { freePort } from '../../../test/support/ports.ts';
import { openDriver } from './support/drivers.ts';

function recordOf(n: number, queue = 'jobs'): LeaseRecord {
  return { key: `k${n}`, id: `${queue} id${n}`, queue, payload: Buffer.from(`{"n":${n},"text":"ü\\n"}`), expiryMs: 3_600_000 };
}

const textOf = (n: number): string => String(recordOf(n).payload);

/** So many messages as they come. */
async function read(driver: Driver, queue: string, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    for (const taken of await driver.pop(queue, count - found.length, new AbortController().signal)) {
      expect(await taken.accept?.()).toBe(true);
      found.push(String(Buffer.from(taken.payload)));
    }
  }
  return found;
}

/** Exactly these wait in the queue. */
async function queueHas(driver: Driver, texts: readonly string[], queue = 'jobs'): Promise<void> {
  await driver.push(queue, Buffer.from('{"end":true}'), { exempt: true });
  const found = await read(driver, queue, texts.length + 1);
  expect(found.pop()).toBe('{"end":true}');
  expect(found.toSorted()).toEqual(texts.toSorted());
}

const leasesOf = (driver: Driver): LeaseStore => driver.leases as LeaseStore;

const isOver = (store: LeaseStore, lease = 'l'): Promise<void> => expect.poll(() => store.overdue(), { interval: 10 }).toEqual([lease]);

async function subjectsOf(nats: Broker): Promise<string[]> {
  const other = await connect({ servers: nats.url });
  const { state } = await (await other.jetstreamManager()).streams.info('BUSGATE_LEASE', { subjects_filter: '>' });
  await other.close();
  return Object.keys(state.subjects ?? {}).toSorted();
}

afterEach(() => vi.restoreAllMocks());

describe('leases on a NATS of their own', () => {
  test('several who settle the same lease at once queue each record once, and its own process is told that it ended', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own', { capacity: 1000 });
    await using one = await openDriver(nats.url, 'one');
    await using other = await openDriver(nats.url, 'other');
    const records = Array.from({ length: 100 }, (_, n) => recordOf(n));
    await leasesOf(own).grant('l', 300);
    expect(await leasesOf(own).hold('l', records)).toBe('done');
    for (const driver of [one, other]) expect([await leasesOf(driver).overdue(), await leasesOf(driver).settleEnded('l', 10)]).toEqual([[], 0]);
    for (const driver of [one, other]) await isOver(leasesOf(driver));
    const settle = async (store: LeaseStore): Promise<number> => {
      let sum = 0;
      while ((await store.overdue()).includes('l')) sum += await store.settleEnded('l', 7);
      return sum;
    };
    const sums = await Promise.all([settle(leasesOf(one)), settle(leasesOf(other))]);
    expect(sums[0] + sums[1]).toBe(100);
    await queueHas(
      one,
      Array.from({ length: 100 }, (_, n) => textOf(n)),
    );
    const answers = [await leasesOf(own).renew('l', 10_000), await leasesOf(own).hold('l', [recordOf(1)]), await leasesOf(own).settle('l', 'k1', recordOf(1))];
    expect(answers).toEqual(['ended', 'ended', 'ended']);
    expect(await subjectsOf(nats)).toEqual(['busgate.lease.state.l']);
    await queueHas(one, []);
  });

  test('who ends one settles many records at a time, and the others look on for as long as it goes on', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own', { capacity: 1000 });
    await using one = await openDriver(nats.url, 'one');
    await using other = await openDriver(nats.url, 'other');
    const records = Array.from({ length: 90 }, (_, n) => recordOf(n));
    await leasesOf(own).grant('l', 300);
    await leasesOf(own).hold('l', records);
    for (const driver of [one, other]) await leasesOf(driver).overdue();
    for (const driver of [one, other]) await isOver(leasesOf(driver));
    const settle = (driver: Driver): Promise<number> => leasesOf(driver).settleEnded('l', 30);
    let now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const admin = await connect({ servers: nats.url });
    let requests = 0;
    admin.subscribe('$JS.API.>', { callback: () => void (requests += 1) });
    await admin.flush();
    expect([await settle(one), await settle(other), await settle(one), await settle(other)]).toEqual([30, 0, 30, 0]);
    await admin.flush();
    expect(requests).toBeLessThan(40);
    await admin.close();
    now += 1400;
    expect([await settle(other), await leasesOf(other).overdue()]).toEqual([0, ['l']]);
    now += 200;
    expect([await settle(other), await settle(other), await leasesOf(other).overdue()]).toEqual([30, 0, []]);
    vi.restoreAllMocks();
    await queueHas(
      one,
      records.map((_, n) => textOf(n)),
    );
  });

  test("what others write in the place of a lease and its records is replaced by its own process, and is in nobody's way", async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(own).grant('l', 300);
    await leasesOf(own).hold('l', [recordOf(1), recordOf(2), recordOf(3)]);
    const subjects = await subjectsOf(nats);
    const stranger = await connect({ servers: nats.url });
    for (const subject of subjects) await stranger.jetstream().publish(subject, Buffer.from([0xff, 0x7b]));
    expect(await leasesOf(own).renew('l', 300)).toBe('missing');
    await leasesOf(own).grant('l', 300);
    expect(await leasesOf(own).settle('l', 'k1', recordOf(1))).toBe('missing');
    await leasesOf(own).hold('l', [recordOf(1), recordOf(2)]);
    expect(await leasesOf(own).settle('l', 'k1', recordOf(1))).toBe('done');
    expect(await leasesOf(own).renew('l', 300)).toBe('done');
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    for (let settled = 1; settled > 0;) settled = await leasesOf(other).settleEnded('l', 10);
    expect(await subjectsOf(nats)).toEqual(['busgate.lease.state.l']);
    await queueHas(other, [textOf(1), textOf(2)]);
    await stranger.close();
  });

  test('what a process held that died is settled, also where others have overwritten the state of its lease', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(own).grant('l', 300);
    await leasesOf(own).hold('l', [recordOf(1), recordOf(2)]);
    expect(await leasesOf(other).overdue()).toEqual([]);
    const stranger = await connect({ servers: nats.url });
    await stranger.jetstream().publish('busgate.lease.state.l', Buffer.from('junk'));
    await stranger.close();
    await isOver(leasesOf(other));
    for (let settled = 1; settled > 0;) settled = await leasesOf(other).settleEnded('l', 10);
    await queueHas(other, [textOf(1), textOf(2)]);
    expect(await leasesOf(other).overdue()).toEqual([]);
  });

  test('one that is over may be renewed until somebody settles it', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    const store = leasesOf(own);
    await store.grant('l', 200);
    await store.hold('l', [recordOf(1)]);
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    expect(await store.renew('l', 60_000)).toBe('done');
    expect([await leasesOf(other).settleEnded('l', 10), await leasesOf(other).overdue()]).toEqual([0, []]);
    expect(await store.settle('l', 'k1', recordOf(7))).toBe('done');
    expect(await store.settle('l', 'k1')).toBe('missing');
    await queueHas(own, [textOf(7)]);
    await store.release('l');
    expect(await store.renew('l', 1000)).toBe('missing');
    expect(await subjectsOf(nats)).toEqual([]);
  });

  test('who cannot know that it ended, since it stood still, leaves nothing behind, and learns it at whatever it does', async () => {
    await using nats = await startNats();
    await using other = await openDriver(nats.url, 'other');
    for (const late of ['hold', 'settle', 'settle without a message', 'renew']) {
      await using own = await openDriver(nats.url, 'own');
      const store = leasesOf(own);
      await store.grant(late.replaceAll(' ', ''), 200);
      await store.hold(late.replaceAll(' ', ''), [recordOf(1, late.length.toString())]);
      await leasesOf(other).overdue();
      await isOver(leasesOf(other), late.replaceAll(' ', ''));
      expect(await leasesOf(other).settleEnded(late.replaceAll(' ', ''), 10)).toBe(1);
      expect(await leasesOf(other).settleEnded(late.replaceAll(' ', ''), 10)).toBe(0);
      const calls: Record<string, () => Promise<string>> = {
        hold: () => store.hold('hold', [recordOf(2)]),
        settle: () => store.settle('settle', 'k1', recordOf(3)),
        'settle without a message': () => store.settle('settlewithoutamessage', 'k1'),
        renew: () => store.renew('renew', 1000),
      };
      expect(await calls[late]?.(), late).toBe('ended');
      await queueHas(other, [textOf(1)], late.length.toString());
    }
    await queueHas(other, []);
    expect((await subjectsOf(nats)).filter((subject) => !subject.startsWith('busgate.lease.state.'))).toEqual([]);
  });

  test('a message that was pushed with the id of a record is not pushed again: by its own process it is done, by others nothing is left to do', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(own).grant('l', 500);
    await leasesOf(own).hold('l', [recordOf(1), recordOf(2), recordOf(3)]);
    // As where the answer to an earlier attempt was lost.
    for (const n of [1, 2]) await own.push('jobs', Buffer.from(`{"was":${n}}`), { id: recordOf(n).id, exempt: true });
    expect(await leasesOf(own).settle('l', 'k1', recordOf(7))).toBe('done');
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    expect(await leasesOf(other).settleEnded('l', 10)).toBe(2);
    await queueHas(own, ['{"was":1}', '{"was":2}', textOf(3)]);
  });

  test('a full queue takes it, and is full of it for the others', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own', { capacity: 1 });
    await own.push('jobs', Buffer.from('{"first":true}'));
    await leasesOf(own).grant('l', 60_000);
    await leasesOf(own).hold('l', [recordOf(1), recordOf(2)]);
    expect(await leasesOf(own).settle('l', 'k1', recordOf(1))).toBe('done');
    expect(await own.push('jobs', Buffer.from('{}'))).toBe(false);
    expect(await leasesOf(own).settle('l', 'k2', recordOf(2))).toBe('done');
    expect(await read(own, 'jobs', 1)).toEqual(['{"first":true}']);
    expect(await own.push('jobs', Buffer.from('{}'))).toBe(false);
    expect((await read(own, 'jobs', 2)).toSorted()).toEqual([textOf(1), textOf(2)]);
    expect(await own.push('jobs', Buffer.from('{}'))).toBe(true);
  });

  test('a look shortly before the end of a lease waits for it', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(own).grant('l', 60_000);
    expect(await leasesOf(other).overdue()).toEqual([]);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 59_500);
    expect(await leasesOf(other).overdue()).toEqual(['l']);
  });

  test('a server that is killed remembers what was settled, and has all the rest', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own', { capacity: 1000 });
    await using other = await openDriver(nats.url, 'other', { capacity: 1000 });
    const records = Array.from({ length: 60 }, (_, n) => recordOf(n));
    for (const lease of ['l', 'm']) {
      await leasesOf(own).grant(lease, lease === 'l' ? 200 : 60_000);
      await leasesOf(own).hold(lease, records);
    }
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    expect(await leasesOf(other).settleEnded('l', 30)).toBe(30);
    await Promise.all(records.slice(0, 20).map((record) => leasesOf(own).settle('m', record.key, record)));
    const before = await subjectsOf(nats);
    expect(before).toHaveLength(2 + 30 + 40);
    await nats.kill();
    await nats.start();
    expect(await subjectsOf(nats)).toEqual(before);
  });

  test('that one has ended the broker remembers, for its own process and for whoever comes later', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await leasesOf(own).grant('l', 200);
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    expect(await leasesOf(other).settleEnded('l', 10)).toBe(0);
    expect(await leasesOf(own).renew('l', 200)).toBe('ended');
    expect(await subjectsOf(nats)).toEqual(['busgate.lease.state.l']);
    await using later = await openDriver(nats.url, 'later');
    expect(await leasesOf(later).overdue()).toEqual(['l']);
    expect(await leasesOf(later).settleEnded('l', 10)).toBe(0);
    expect(await leasesOf(later).overdue()).toEqual([]);
  });

  test('a renewal is handed out to nobody, and what a process asks for is the same however many leases there are', async () => {
    const monitoring = await freePort();
    await using nats = await startNats({ config: [`http: 127.0.0.1:${monitoring}`] });
    const handedOut = async (): Promise<number> => ((await (await fetch(`http://127.0.0.1:${monitoring}/varz`)).json()) as { out_msgs: number }).out_msgs;
    await using stack = new AsyncDisposableStack();
    const stores: LeaseStore[] = [];
    const ofEach: number[] = [];
    for (const size of [2, 4, 8]) {
      while (stores.length < size) {
        const process = `p${stores.length}`;
        const store = leasesOf(stack.use(await openDriver(nats.url, process)));
        await store.grant(process, 60_000);
        stores.push(store);
      }
      for (const store of stores) await store.overdue();
      const before = await handedOut();
      for (let round = 0; round < 5; round += 1) {
        for (const [n, store] of stores.entries()) expect([await store.renew(`p${n}`, 60_000), await store.overdue()]).toEqual(['done', []]);
      }
      ofEach.push(((await handedOut()) - before) / 5 / size);
    }
    // The answers to a renewal and to the question of a look.
    expect(ofEach).toEqual([2, 2, 2]);
  });

  test('a stream that holds nothing is not read: a server of 2.9 that is just making it dies of that', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await leasesOf(own).grant('l', 60_000);
    await leasesOf(own).release('l');
    await using other = await openDriver(nats.url, 'other');
    const admin = await connect({ servers: nats.url });
    let readings = 0;
    admin.subscribe('$JS.API.STREAM.MSG.GET.>', { callback: () => void (readings += 1) });
    await admin.flush();
    expect(await leasesOf(other).overdue()).toEqual([]);
    await leasesOf(other).grant('m', 60_000);
    await admin.flush();
    expect(readings).toBe(0);
    expect(await leasesOf(other).overdue()).toEqual([]);
    await admin.flush();
    expect(readings).toBe(1);
    await admin.close();
  });

  test('leases of a stream that was made anew are counted anew, also where the first question about them is whether to end one', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    await leasesOf(own).grant('l', 200);
    for (let n = 0; n < 5; n += 1) await leasesOf(own).renew('l', 200);
    await leasesOf(other).overdue();
    await isOver(leasesOf(other));
    const admin = await connect({ servers: nats.url });
    await (await admin.jetstreamManager()).streams.delete('BUSGATE_LEASE');
    await admin.close();
    expect(await leasesOf(own).renew('l', 200)).toBe('missing');
    await leasesOf(own).grant('l', 200);
    await leasesOf(own).hold('l', [recordOf(1)]);
    expect([await leasesOf(other).settleEnded('l', 10), await leasesOf(other).overdue()]).toEqual([0, []]);
    await isOver(leasesOf(other));
    expect(await leasesOf(other).settleEnded('l', 10)).toBe(1);
  });

  test('leases that last long, and are renewed seldom, stand in the way of no others', async () => {
    await using nats = await startNats();
    await using own = await openDriver(nats.url, 'own');
    await using other = await openDriver(nats.url, 'other');
    for (const lease of ['long', 'longer']) await leasesOf(own).grant(lease, 3_600_000);
    await leasesOf(other).grant('brief', 300);
    await leasesOf(other).overdue();
    await leasesOf(own).grant('l', 300);
    await leasesOf(own).hold('l', [recordOf(1)]);
    await expect
      .poll(
        async () => {
          expect(await leasesOf(other).renew('brief', 300)).toBe('done');
          return leasesOf(other).overdue();
        },
        { interval: 10 },
      )
      .toEqual(['l']);
    expect(await leasesOf(other).settleEnded('l', 10)).toBe(1);
  });
});
