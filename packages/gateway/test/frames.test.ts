import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frameOf } from '../src/session/link.ts';
import { pingFrame, pongFrame, tokenOf, WEBSOCKET_FRAMING } from '../src/transports/websocket/frames.ts';
import { Progress } from '../src/transports/websocket/progress.ts';
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

test('wherever the bytes are cut, it is known whether a message is under way', () => {
  const payload = fc.uint8Array({ maxLength: 200 });
  const message = fc.array(fc.record({ payload, ping: fc.boolean() }), { minLength: 1, maxLength: 4 });
  const large = fc.constantFrom(126, 300, 65_536).map((size) => [{ payload: new Uint8Array(size), ping: false }]);
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 5, arbitrary: message }, large), { maxLength: 6 }), fc.array(fc.nat(40), { maxLength: 50 }), (messages, cuts) => {
      const bytes: Buffer[] = [];
      /** Where nothing is under way. */
      const ends = new Set<number>();
      let at = 0;
      const add = (piece: Buffer): void => void (bytes.push(piece), (at += piece.length));
      for (const fragments of messages) {
        for (const [index, fragment] of fragments.entries()) {
          if (fragment.ping) add(frame(9, 'ping'));
          if (index === 0) ends.add(at);
          add(frame(index === 0 ? 1 : 0, fragment.payload, { fin: index === fragments.length - 1 }));
        }
        ends.add(at);
      }
      const all = Buffer.concat(bytes);
      const progress = new Progress();
      let from = 0;
      for (const cut of [...cuts, all.length]) {
        const to = Math.min(from + cut, all.length);
        expect(progress.feed(all.subarray(from, to))).toBe(to > 0 && !ends.has(to));
        from = to;
      }
    }),
    { numRuns: 300 },
  );
});
