import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RecentMessages, type KeptMessage } from '../src/recent-messages.ts';
import { RoomBytes } from '../src/room-bytes.ts';

const RULE = { rooms: 'r', size: 1000, ageMs: 60_000 };

function kept(offset: number, bytes = 10): KeptMessage {
  return { offset, message: { payload: new Uint8Array(bytes), position: `e:${offset}` } };
}

function start(
  rule = RULE,
  bytes = new RoomBytes(),
): { recent: RecentMessages; bytes: RoomBytes; take: (offset: number, size?: number, now?: number) => void } {
  const recent = new RecentMessages(rule, bytes);
  recent.beginAt({ epoch: 'e', offset: 0 });
  return { recent, bytes, take: (offset, size, now = 0) => recent.append(offset, kept(offset, size).message, now) };
}

const after = (recent: RecentMessages, offset: number, now = 0): number[] | undefined => recent.after({ epoch: 'e', offset }, now)?.map((one) => one.offset);

describe('the recent messages of a room', () => {
  test('answer what followed a position, and nothing where something between may be missing', () => {
    const { recent, take } = start();
    for (const offset of [2, 5, 9]) take(offset);
    expect([0, 1, 2, 4, 5, 9].map((offset) => after(recent, offset))).toEqual([[2, 5, 9], [2, 5, 9], [5, 9], [5, 9], [9], []]);
    expect(after(recent, 10)).toBeUndefined();
    expect(recent.after({ epoch: 'f', offset: 0 }, 0)).toBeUndefined();
    recent.reach(20);
    expect([after(recent, 15), after(recent, 21)]).toEqual([[], undefined]);
    recent.beginAt({ epoch: 'e', offset: 30 });
    expect([after(recent, 9), after(recent, 30)]).toEqual([undefined, []]);
  });

  test('are no more than the history keeps, and no older', () => {
    const { recent, take } = start({ rooms: 'r', size: 3, ageMs: 100 });
    for (const offset of [1, 2, 3, 4]) take(offset, 10, offset * 10);
    expect([after(recent, 0, 40), after(recent, 1, 40)]).toEqual([undefined, [2, 3, 4]]);
    expect([after(recent, 1, 120), after(recent, 2, 120)]).toEqual([undefined, [3, 4]]);
    expect(recent.newest(2, 120)?.map(({ offset }) => offset)).toEqual([3, 4]);
    expect(recent.newest(3, 120)).toBeUndefined();
  });

  test('are bounded by their bytes: the oldest go first', () => {
    const { recent, bytes, take } = start();
    for (let offset = 1; offset <= 20; offset += 1) take(offset, 200_000);
    expect(after(recent, 15)).toEqual([16, 17, 18, 19, 20]);
    expect(after(recent, 14)).toBeUndefined();
    expect(bytes.used).toBeLessThanOrEqual(1_048_576);
    take(21, 2_000_000);
    expect([after(recent, 20), after(recent, 21), bytes.used]).toEqual([undefined, [], 0]);
  });

  test('of all rooms of a process are bounded too: each lets go of its older half', () => {
    const bytes = new RoomBytes(100_000);
    const rooms = Array.from({ length: 10 }, () => start(RULE, bytes));
    for (let offset = 1; offset <= 20; offset += 1) {
      for (const { take } of rooms) take(offset, 1000);
      expect(bytes.used).toBeLessThanOrEqual(100_000);
    }
    for (const { recent } of rooms) expect(after(recent, 19)).toEqual([20]);
    for (const { recent } of rooms) recent.close();
    expect(bytes.used).toBe(0);
  });

  test('what was read for somebody is put before them, and kept for a short while', () => {
    const { recent, take } = start();
    recent.beginAt({ epoch: 'e', offset: 5 });
    take(6);
    recent.putBefore(
      { epoch: 'e', offset: 2 },
      [3, 4, 5, 6].map((offset) => kept(offset)),
      0,
    );
    expect([after(recent, 2), after(recent, 1)]).toEqual([[3, 4, 5, 6], undefined]);
    expect([after(recent, 2, 10_000), after(recent, 5, 10_000)]).toEqual([undefined, [6]]);
    recent.putBefore({ epoch: 'f', offset: 2 }, [kept(3)], 0);
    recent.putBefore({ epoch: 'e', offset: 1 }, [kept(3)], 0);
    expect(after(recent, 4, 10_000)).toBeUndefined();
  });
});

test('whatever is taken, read, let go and expires: what is answered is all that followed', () => {
  const step = fc.oneof(
    fc.constantFrom('take', 'halve', 'skip'),
    fc.nat(30).map((back) => ({ read: back })),
    fc.nat(40_000).map((ms) => ({ pass: ms })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), (steps, size) => {
      const bytes = new RoomBytes();
      const { recent, take } = start({ rooms: 'r', size, ageMs: 60_000 }, bytes);
      const all: number[] = [];
      let [head, now] = [0, 0];
      for (const what of steps) {
        if (what === 'take') {
          take((head += 1), 10, now);
          all.push(head);
        } else if (what === 'skip') recent.reach((head += 1));
        else if (what === 'halve') recent.halve();
        else if ('pass' in what) now += what.pass;
        else {
          const from = Math.max(0, head - what.read);
          recent.putBefore(
            { epoch: 'e', offset: from },
            all.filter((offset) => offset > from).map((offset) => kept(offset)),
            now,
          );
        }
        for (let offset = 0; offset <= head; offset += 1) {
          const answer = after(recent, offset, now);
          if (answer !== undefined) expect(answer).toEqual(all.filter((one) => one > offset));
        }
      }
      recent.close();
      expect(bytes.used).toBe(0);
    }),
  );
});
