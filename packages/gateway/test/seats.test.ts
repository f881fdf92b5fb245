import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressBook } from '../src/limits/addresses.ts';
import { Bucket } from '../src/limits/bucket.ts';
import { type Seat, Seats } from '../src/limits/seats.ts';

describe('a token bucket', () => {
  const rate = { perSecond: 10, burst: 20 };

  test('gives a burst at once, then as many as it says, and never more than a burst', () => {
    const bucket = new Bucket();
    const take = (now: number, tries: number): number => Array.from({ length: tries }, () => bucket.take(rate, now)).filter(Boolean).length;
    expect([take(0, 100), take(99, 100), take(100, 100), take(1100, 100), take(1_000_000, 100)]).toEqual([20, 0, 1, 10, 20]);
  });

  test('that was overdrawn gives nothing until what is missing has come', () => {
    const bucket = new Bucket();
    bucket.spend(rate, 0, 50);
    expect(bucket.wait(rate, 0)).toBe(3100);
    expect([bucket.take(rate, 3099), bucket.take(rate, 3100)]).toEqual([false, true]);
    expect([bucket.isFull(5099), bucket.isFull(5200)]).toEqual([false, true]);
  });

  test('in any span of time no more than the rate and a burst leave it, and who waits as long as it says has one', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 100 }), (pauses) => {
        const bucket = new Bucket();
        const taken: number[] = [];
        let now = 0;
        for (const pause of pauses) {
          now += pause;
          if (bucket.take(rate, now)) taken.push(now);
          else expect(bucket.wait(rate, now)).toBeGreaterThan(0);
        }
        for (const [index, from] of taken.entries())
          for (const [other, to] of taken.entries()) if (other >= index) expect(other - index + 1).toBeLessThanOrEqual(20 + ((to - from) * 10) / 1000 + 1e-6);
        now += bucket.wait(rate, now) + 1e-6;
        expect(bucket.take(rate, now)).toBe(true);
      }),
    );
  });
});

/** A session that was told that another took its place. */
class Sitting {
  replaced = 0;
  seat: Seat | undefined;

  close(): void {
    this.replaced += 1;
    this.seat?.release();
  }
}

interface Counted {
  readonly sessions?: number;
  readonly user?: number;
  readonly replace?: boolean;
}

function seatsOf({ sessions, user, replace = false }: Counted): Seats {
  return new Seats({ address: { sessions, handshakes: undefined }, user: { sessions: user, replace } }, () => 0);
}

/** A session that has begun, where it may. */
function sit(seats: Seats, address: string, user?: string): Sitting | undefined {
  const sitting = new Sitting();
  sitting.seat = seats.take(() => address, user);
  sitting.seat?.take(sitting);
  return sitting.seat === undefined ? undefined : sitting;
}

describe('sessions of an address', () => {
  test('are so many, those of one /64 together, and a place is free again when one ends', () => {
    const seats = seatsOf({ sessions: 2 });
    const first = sit(seats, '2001:db8::1');
    expect([first, sit(seats, '2001:db8::2'), sit(seats, '2001:db8::3'), sit(seats, '2001:db8:0:1::1')].map((one) => one !== undefined)).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(seats.hasRoom(() => '2001:db8::9')).toBe(false);
    first?.seat?.release();
    expect(seats.hasRoom(() => '2001:db8::9')).toBe(true);
    expect(sit(seats, '2001:db8::3')).toBeDefined();
  });

  test('count from their admission on', () => {
    const seats = seatsOf({ sessions: 1, user: 5 });
    const coming = seats.take(() => 'a', 'u');
    expect(sit(seats, 'a', 'u')).toBeUndefined();
    coming?.release();
    expect(sit(seats, 'a', 'u')).toBeDefined();
  });

  test('nothing is kept of addresses that came once, however many they are', () => {
    let now = 0;
    const book = new AddressBook({ sessions: 5, handshakes: { perSecond: 10, burst: 1 } }, () => now);
    for (let index = 0; index < 100_000; index += 1) {
      now += 1;
      book.mayAsk(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    }
    expect(book.size).toBeLessThan(2500);
  });
});

describe('sessions of a user', () => {
  test('are so many wherever they come from, and others are not counted', () => {
    const seats = seatsOf({ user: 2 });
    const first = sit(seats, 'a', 'ann');
    expect([sit(seats, 'b', 'ann'), sit(seats, 'c', 'ann'), sit(seats, 'c', 'bob'), sit(seats, 'c')].map((one) => one !== undefined)).toEqual([
      true,
      false,
      true,
      true,
    ]);
    first?.seat?.release();
    expect(sit(seats, 'c', 'ann')).toBeDefined();
  });

  test('that come at the same moment are counted before they begin', () => {
    const seats = seatsOf({ user: 2 });
    const coming = [1, 2, 3].map(() => seats.take(() => 'a', 'ann'));
    expect(coming.map((seat) => seat !== undefined)).toEqual([true, true, false]);
  });

  test('with replace the oldest ends in the place of one too many, once', () => {
    const seats = seatsOf({ user: 2, replace: true });
    const all = [1, 2, 3, 4].map(() => sit(seats, 'a', 'ann'));
    expect(all.map((one) => one?.replaced)).toEqual([1, 1, 0, 0]);
    all[3]?.seat?.release();
    const last = sit(seats, 'a', 'ann');
    expect([all[2]?.replaced, last?.replaced]).toEqual([0, 0]);
  });

  test('whatever comes and goes, as many are counted as there are', () => {
    const step = fc.record({ user: fc.constantFrom('ann', 'bob'), address: fc.constantFrom('a', 'b'), comes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const seats = seatsOf({ user: 2, sessions: 3 });
        const here: { user: string; address: string; sitting: Sitting }[] = [];
        for (const { user, address, comes } of steps) {
          const at = here.findIndex((one) => one.user === user);
          if (!comes && at >= 0) here.splice(at, 1)[0]?.sitting.seat?.release();
          if (!comes) continue;
          const isFull = here.filter((one) => one.user === user).length >= 2 || here.filter((one) => one.address === address).length >= 3;
          const sitting = sit(seats, address, user);
          expect(sitting === undefined).toBe(isFull);
          if (sitting !== undefined) here.push({ user, address, sitting });
        }
      }),
    );
  });
});
