import fc from 'fast-check';
import { beforeEach, afterEach, describe, expect, test, vi } from 'vitest';
import { InOrder } from '../src/in-order.ts';

const NOTHING = new Uint8Array(0);

/** Offsets that come out where these went in, each with the one before it in the stream. */
class Room {
  readonly out: string[] = [];
  readonly order = new InOrder((_, { epoch, offset }) => this.out.push(`${epoch}${offset}`));

  take(offset: number, { previous = offset - 1, epoch = 'e' } = {}): void {
    this.order.take(NOTHING, { epoch, offset, previous });
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a room's live messages", () => {
  test('come out in the order of the stream where each is at most a few places from its own, and at once where it is there', () => {
    const shuffles = fc.array(fc.nat(3), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(shuffles, (places) => {
        const room = new Room();
        room.take(0);
        const offsets = places.map((place, index) => ({ offset: index + 1, at: index + place })).toSorted((a, b) => a.at - b.at);
        for (const { offset } of offsets) room.take(offset);
        expect(room.out).toEqual(Array.from({ length: places.length + 1 }, (_, offset) => `e${offset}`));
      }),
    );
  });

  test('offsets between which another room has messages are no hole', () => {
    const room = new Room();
    room.take(5, { previous: 2 });
    room.take(9, { previous: 5 });
    expect(room.out).toEqual(['e5', 'e9']);
  });

  test('one that does not come is passed over after a while, in order; the patience is of each hole', () => {
    const room = new Room();
    for (const offset of [1, 4, 3]) room.take(offset);
    vi.advanceTimersByTime(900);
    expect(room.out).toEqual(['e1']);
    room.take(2);
    room.take(6);
    vi.advanceTimersByTime(900);
    expect(room.out).toEqual(['e1', 'e2', 'e3', 'e4']);
    vi.advanceTimersByTime(200);
    expect(room.out).toEqual(['e1', 'e2', 'e3', 'e4', 'e6']);
    room.take(5);
    room.take(7);
    expect(room.out.slice(5)).toEqual(['e5', 'e7']);
  });

  test('another epoch waits for none of the one before, and a room that waits for very much waits no more', () => {
    const room = new Room();
    for (const offset of [1, 3]) room.take(offset);
    room.take(1, { epoch: 'f' });
    expect(room.out).toEqual(['e1', 'e3', 'f1']);
    for (let offset = 3; offset < 1010; offset += 1) room.take(offset, { epoch: 'f' });
    expect(room.out.slice(3, 5)).toEqual(['f3', 'f4']);
  });

  test('after a reset nothing that waited comes, and what comes next follows nothing', () => {
    const room = new Room();
    for (const offset of [1, 3]) room.take(offset);
    room.order.reset();
    room.take(9);
    vi.advanceTimersByTime(2000);
    expect(room.out).toEqual(['e1', 'e9']);
  });
});
