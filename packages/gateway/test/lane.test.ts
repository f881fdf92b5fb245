import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { createCounters } from '../src/counters.ts';
import { Lane, type Passenger, type WriteBatch } from '../src/hub/lane.ts';
import { rawEncoding } from '../src/routes/raw-encoding.ts';
import { WEBSOCKET_FRAMING } from '../src/transports/websocket/frames.ts';

const SIZE = 1000;
const TURN = { gathers: () => undefined, saved: () => undefined, isOver: () => false };

/** Keeps what it is given, as a socket does whose client does not read. */
class Keeper implements Passenger {
  index = -1;
  at = 0;
  count = 0;
  readonly isLate = false;
  readonly others = undefined;
  readonly kept: Uint8Array[] = [];
  readonly outbox = { write: (frames: Uint8Array): void => void this.kept.push(frames) };
  readonly #lane: Lane;

  constructor(lane: Lane) {
    this.#lane = lane;
    lane.add(this);
  }

  holdBack(): void {}
  holdBackGap(): void {}

  flushBatch(): void {
    this.takeAll();
  }

  /** What it is due by now, before anybody else has it. */
  takeAll(): void {
    const batch: WriteBatch = { pieces: [], messages: 0 };
    this.#lane.take(this, batch, true);
    this.kept.push(...batch.pieces);
  }
}

const letters = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => String.fromCharCode(97 + ((from + n) % 26)));

/** The messages in what was kept. */
function read({ kept }: Keeper): string[] {
  const found: string[] = [];
  for (const bytes of kept) {
    // A header of four bytes before each.
    for (let at = 4; at < bytes.length; at += 4 + SIZE) {
      const message = Buffer.from(bytes).toString('latin1', at, at + SIZE);
      expect(message).toBe(String(message[0]).repeat(SIZE));
      found.push(String(message[0]));
    }
  }
  return found;
}

function append(lane: Lane, texts: readonly string[]): void {
  for (const text of texts) lane.append({ payload: Buffer.from(text.repeat(SIZE)) });
}

test('what a session was given stays as it is, however much is added behind it', () => {
  const lane = new Lane('r', rawEncoding('binary', 'stay'), WEBSOCKET_FRAMING, { counters: createCounters(), backlog: 1_000_000 });
  const [early, late] = [new Keeper(lane), new Keeper(lane)];
  append(lane, letters(0, 10));
  early.takeAll();
  append(lane, letters(10, 10));
  early.takeAll();
  append(lane, letters(20, 80));
  while (lane.hasUnsent) lane.visit(TURN);
  expect(read(early)).toEqual(letters(0, 100));
  expect(read(late)).toEqual(letters(0, 100));
});

test('a second turn writes nothing into what the first has given', () => {
  const lane = new Lane('r', rawEncoding('binary', 'stay'), WEBSOCKET_FRAMING, { counters: createCounters(), backlog: 1_000_000 });
  const keeper = new Keeper(lane);
  for (const [from, count] of [
    [0, 3],
    [3, 40],
    [43, 1],
    [44, 200],
    [244, 30],
  ] as const) {
    append(lane, letters(from, count));
    while (lane.hasUnsent) lane.visit(TURN);
  }
  expect(read(keeper)).toEqual(letters(0, 274));
});
