import { describe, expect, test } from 'vitest';
import type { WrittenLease } from '../src/lease-states.ts';
import { LeaseWatch } from '../src/lease-watch.ts';

/** A stream of leases, and who watches it. */
class Watched {
  now = 0;
  created = 'once';
  sequence = 0;
  readonly #states = new Map<string, WrittenLease>();
  readonly watch = new LeaseWatch(() => this.now);

  write(lease: string, ttlMs: number | 'ended' | 'foreign'): void {
    this.sequence += 1;
    const state: WrittenLease['state'] = typeof ttlMs === 'string' ? ttlMs : { ttlMs, renewal: this.sequence };
    this.#states.set(lease, { lease, state, sequence: this.sequence, time: 0 });
  }

  remove(lease: string): void {
    this.#states.delete(lease);
  }

  /** Looks as the driver does; answers with how many states it read. */
  look(shortestMs = Infinity): number {
    const { watch } = this;
    watch.reached(this.sequence, this.created);
    const silent = watch.silent;
    for (const lease of silent) watch.lookedAt(lease, this.#states.get(lease));
    if (!watch.mayBeLate(shortestMs)) return silent.length;
    for (let read = silent.length; ; read += 1) {
      const oldest = [...this.#states.values()].filter(({ sequence }) => sequence >= watch.from).toSorted((a, b) => a.sequence - b.sequence)[0];
      if (oldest === undefined) return read;
      if (!watch.found(oldest, shortestMs)) return read + 1;
    }
  }

  overdueAfter(ms: number, shortestMs = Infinity): readonly string[] {
    this.now += ms;
    this.look(shortestMs);
    return this.watch.overdue;
  }
}

describe('which leases are silent', () => {
  test("one whose state is somebody else's message is, once that has been there for as long as any lease lasts that is known", () => {
    const unaware = new Watched();
    unaware.write('l', 'foreign');
    expect([unaware.overdueAfter(0), unaware.overdueAfter(3_600_000)]).toEqual([[], []]);
    const watched = new Watched();
    watched.watch.lasts(1000);
    watched.write('l', 'foreign');
    expect(watched.overdueAfter(0)).toEqual([]);
    expect(watched.overdueAfter(999)).toEqual([]);
    expect(watched.overdueAfter(1)).toEqual(['l']);
  });

  test('one is, once its newest state has been known to be there for as long as it lasts', () => {
    const watched = new Watched();
    watched.write('l', 1000);
    watched.now = 5000;
    expect(watched.overdueAfter(0)).toEqual([]);
    expect(watched.overdueAfter(999)).toEqual([]);
    expect(watched.overdueAfter(1)).toEqual(['l']);
    watched.write('l', 1000);
    expect(watched.overdueAfter(0)).toEqual([]);
    expect(watched.overdueAfter(999)).toEqual([]);
    expect(watched.overdueAfter(1)).toEqual(['l']);
    watched.remove('l');
    expect(watched.overdueAfter(0)).toEqual([]);
  });

  test('of those that are renewed one is read at a look, however many there are, and of others no more than they are', () => {
    const watched = new Watched();
    const leases = Array.from({ length: 100 }, (_, n) => `l${n}`);
    for (const lease of leases) watched.write(lease, 1000);
    for (let round = 0; round < 50; round += 1) {
      watched.now += 100;
      for (const lease of leases.slice(2)) watched.write(lease, 1000);
      expect(watched.look()).toBeLessThanOrEqual(3);
      expect(watched.watch.overdue).toEqual(round < 10 ? [] : ['l0', 'l1']);
    }
  });

  test('the oldest one is read again when half of its time has gone', () => {
    const watched = new Watched();
    watched.write('l', 1000);
    const readAfter = (ms: number, shortestMs = Infinity): number => {
      watched.now += ms;
      return watched.look(shortestMs);
    };
    expect([readAfter(0), readAfter(499), readAfter(1)]).toEqual([1, 0, 1]);
    watched.write('l', 1000);
    watched.write('m', 1000);
    expect([readAfter(0), readAfter(199, 400), readAfter(1, 400), readAfter(299), readAfter(1)]).toEqual([1, 0, 1, 0, 1]);
  });

  test('who may wait for a shorter time reads past those that last longer, and finds them in their time', () => {
    const watched = new Watched();
    watched.write('long', 10_000);
    watched.look(1000);
    watched.now += 10;
    watched.write('brief', 1000);
    watched.look(1000);
    expect(watched.overdueAfter(999, 1000)).toEqual([]);
    expect(watched.overdueAfter(1, 1000)).toEqual(['brief']);
    watched.write('brief', 'ended');
    expect(watched.overdueAfter(8989, 1000)).toEqual(['brief']);
    watched.watch.settled('brief');
    expect(watched.overdueAfter(1, 1000)).toEqual(['long']);
    watched.write('long', 10_000);
    expect(watched.overdueAfter(9999, 1000)).toEqual([]);
    expect(watched.overdueAfter(1, 1000)).toEqual([]);
    expect(watched.overdueAfter(9999, 1000)).toEqual(['long']);
  });

  test('how long until the next one is silent is known of those alone that have a twentieth of their time left', () => {
    const watched = new Watched();
    watched.write('l', 1000);
    watched.look();
    expect(watched.overdueAfter(949)).toEqual([]);
    expect(watched.watch.nextSilentMs(Infinity)).toBe(undefined);
    expect(watched.overdueAfter(1)).toEqual([]);
    expect([watched.watch.nextSilentMs(Infinity), watched.watch.nextSilentMs(900)]).toEqual([50, undefined]);
    expect(watched.overdueAfter(49)).toEqual([]);
    expect(watched.watch.nextSilentMs(20)).toBe(1);
    expect(watched.overdueAfter(1)).toEqual(['l']);
    expect(watched.watch.nextSilentMs(Infinity)).toBe(undefined);
  });

  test.each<[string, (watched: Watched) => void]>([
    ['a stream that was made anew', (watched) => (watched.created = 'again')],
    ['one that has lost what it had', (watched) => (watched.sequence -= 5)],
    ['a new connection', ({ watch }) => watch.begin()],
  ])('%s is counted anew', (_, happen) => {
    const watched = new Watched();
    for (let n = 0; n < 10; n += 1) watched.write('l', 1000);
    watched.look();
    watched.now += 999;
    happen(watched);
    watched.remove('l');
    watched.sequence -= 1;
    watched.write('m', 1000);
    expect(watched.overdueAfter(1)).toEqual([]);
    expect(watched.overdueAfter(999)).toEqual([]);
    expect(watched.overdueAfter(1)).toEqual(['m']);
  });

  test('one that has ended is to be settled, for good, until it is settled', () => {
    const watched = new Watched();
    watched.write('l', 1000);
    watched.look();
    watched.write('l', 'ended');
    expect(watched.overdueAfter(500)).toEqual(['l']);
    // As where the stream has lost its end.
    watched.write('l', 1000);
    expect(watched.overdueAfter(5000)).toEqual(['l']);
    watched.watch.settled('l');
    expect([watched.overdueAfter(5000), watched.watch.hasEnded('l')]).toEqual([[], true]);
    watched.watch.begin();
    expect([watched.overdueAfter(5000), watched.watch.hasEnded('l')]).toEqual([[], true]);
  });
});
