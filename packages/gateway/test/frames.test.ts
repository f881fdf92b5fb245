import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frameOf } from '../src/session/link.ts';
import { pingFrame, pongFrame, tokenOf, WEBSOCKET_FRAMING } from '../src/transports/websocket/frames.ts';
import { Inbound } from '../src/inbound.ts';
import { ReadTurns } from '../src/transports/read-turns.ts';
import { type Received, Receiver } from '../src/transports/websocket/receiver.ts';
import { frame } from './support/raw.ts';

test.each([0, 1, 125, 126, 65_535, 65_536, 70_000])('a frame of %i bytes has the shortest header there is', (length) => {
  const payload = Buffer.alloc(length, 'x');
  const half = Math.floor(length / 2);
  const sheet = { binary: length % 2 === 1, parts: [payload.subarray(0, half), payload.subarray(half)], length, position: undefined };
  const expected = frame(sheet.binary ? 2 : 1, payload, { mask: false });
  expect(frameOf(WEBSOCKET_FRAMING, sheet).equals(expected)).toBe(true);
  expect(WEBSOCKET_FRAMING.measure(sheet)).toBe(expected.length);
});

test('a ping carries a token that only its pong gives back', () => {
  expect(pingFrame(0x01020304)).toEqual(frame(9, Buffer.from([1, 2, 3, 4]), { mask: false }));
  expect(tokenOf(Buffer.from([1, 2, 3, 4]))).toBe(0x01020304);
  expect([tokenOf(Buffer.alloc(0)), tokenOf(Buffer.from('hello'))]).toEqual([-1, -1]);
  expect(pongFrame(Buffer.from('abc'))).toEqual(frame(10, 'abc', { mask: false }));
});

/** What a receiver told, in order; a fault is the last of it. */
class Told implements Received {
  readonly begun = 0;
  evict(): void {}

  readonly all: string[] = [];
  isReading = true;

  message = (data: Buffer, binary: boolean): void => void this.all.push(`${binary ? 'binary' : 'text'} ${data.toString('latin1')}`);
  ping = (payload: Buffer): void => void this.all.push(`ping ${payload.toString('latin1')}`);
  pong = (payload: Buffer): void => void this.all.push(`pong ${payload.toString('latin1')}`);
  close = (payload: Buffer): void => void this.all.push(`close ${payload.toString('latin1')}`);
  fault = (key: string): void => {
    this.all.push(`fault ${key}`);
    this.isReading = false;
  };
}

const LIMITS = { message: 70_000, fragments: 100 };

test('wherever the bytes are cut, every message is read as it was sent, and it is known whether one is under way', () => {
  const payload = fc.uint8Array({ maxLength: 200 });
  const message = fc.array(fc.record({ payload, ping: fc.boolean() }), { minLength: 1, maxLength: 4 });
  const large = fc.constantFrom(126, 300, 65_536).map((size) => [{ payload: new Uint8Array(size).fill(size), ping: false }]);
  const messages = fc.array(fc.oneof({ weight: 5, arbitrary: message }, large), { maxLength: 6 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(40), { maxLength: 50 }), fc.integer({ min: 1, max: 5 }), (sent, cuts, frames) => {
      const bytes: Buffer[] = [];
      const expected: string[] = [];
      /** Where nothing is under way. */
      const ends = new Set<number>();
      let at = 0;
      const add = (piece: Buffer): void => void (bytes.push(piece), (at += piece.length));
      for (const fragments of sent) {
        for (const [index, fragment] of fragments.entries()) {
          if (fragment.ping) add(frame(9, 'ping'));
          if (fragment.ping) expected.push('ping ping');
          if (index === 0) ends.add(at);
          add(frame(index === 0 ? 2 : 0, fragment.payload, { fin: index === fragments.length - 1 }));
        }
        ends.add(at);
        expected.push(`binary ${Buffer.concat(fragments.map((fragment) => fragment.payload)).toString('latin1')}`);
      }
      const all = Buffer.concat(bytes);
      const inbound = new Inbound(1_000_000);
      const receiver = new Receiver(LIMITS, inbound);
      const told = new Told();
      let from = 0;
      for (const cut of [...cuts, all.length]) {
        const to = Math.min(from + cut, all.length);
        const chunk = Buffer.from(all.subarray(from, to));
        for (let read = 0; read < chunk.length;) read = receiver.read(chunk, read, frames, told);
        expect(receiver.isIdle).toBe(to === 0 || ends.has(to));
        if (receiver.isIdle) expect(inbound.bytes).toBe(0);
        from = to;
      }
      expect(told.all).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

describe('a message that is not whole', () => {
  test('costs its size and little more, in whatever pieces it comes', () => {
    const inbound = new Inbound(1_000_000);
    const receiver = new Receiver({ message: 65_536, fragments: 100_000 }, inbound);
    const told = new Told();
    for (let sent = 0; sent < 40_000; sent += 1) receiver.read(Buffer.concat([frame(sent === 0 ? 2 : 0, 'x', { fin: false }), frame(10, 'y')]), 0, 10, told);
    expect(told.all.length).toBe(40_000);
    expect(inbound.bytes).toBeGreaterThanOrEqual(40_000);
    expect(inbound.bytes).toBeLessThan(81_000);
    receiver.release();
    expect([inbound.bytes, receiver.isIdle]).toEqual([0, true]);
  });

  test('costs no more than has come of it, whatever its header claims', () => {
    const inbound = new Inbound(1_000_000);
    const receiver = new Receiver({ message: 65_536, fragments: 10 }, inbound);
    receiver.read(frame(2, 'x', { length: 65_536 }), 0, 10, new Told());
    expect(inbound.bytes).toBeLessThan(1000);
  });

  test('ends its session where the process holds as much as it may', () => {
    const inbound = new Inbound(20_000);
    const told = new Told();
    const receivers = Array.from({ length: 10 }, () => new Receiver({ message: 65_536, fragments: 10 }, inbound));
    for (const receiver of receivers) {
      told.isReading = true;
      receiver.read(frame(2, Buffer.alloc(4000), { length: 65_536 }), 0, 10, told);
    }
    expect(told.all).toEqual(Array.from({ length: 6 }, () => 'fault full'));
    for (const receiver of receivers) receiver.release();
    expect(inbound.bytes).toBe(0);
  });
});

test('who sends much is read in turns, a bounded time in each, and nobody is passed over', () => {
  let now = 0;
  const steps: (() => void)[] = [];
  const turns = new ReadTurns({ now: () => now, defer: (step) => void steps.push(step) });
  /** Each visit takes a millisecond. */
  const reader = (visits: number) => ({
    isWaiting: false,
    left: visits,
    read(): boolean {
      now += 1;
      this.left -= 1;
      return this.left > 0;
    },
  });
  const greedy = Array.from({ length: 20 }, () => reader(50));
  for (const one of greedy) turns.take(one);
  const modest = reader(1);
  turns.take(modest);
  let slices = 0;
  let modestAt = 0;
  for (; steps.length > 0; slices += 1) {
    const before = now;
    steps.shift()?.();
    expect(now - before).toBeLessThanOrEqual(5);
    if (modest.left === 0 && modestAt === 0) modestAt = now;
  }
  expect([modestAt <= 26, greedy.every(({ left }) => left === 0)]).toEqual([true, true]);
  expect(slices).toBeLessThan(210);
});
