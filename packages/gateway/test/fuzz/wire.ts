import { isDeepStrictEqual } from 'node:util';
import type { Random } from '../../../layer/src/conformance/random.ts';
import { Inbound } from '../../src/inbound.ts';
import { readClose } from '../../src/transports/websocket/frames.ts';
import { type Received, Receiver } from '../../src/transports/websocket/receiver.ts';
import { closeFrame, frame } from '../support/raw.ts';
import { type FuzzedParser, must } from './parser.ts';

const LIMITS = { message: 2048, fragments: 8 };
const BOUND = 1_000_000;

/** What a WebSocket sends: bytes, each of them a character of Latin-1. */
export const WIRE: FuzzedParser = {
  name: 'wire',
  examples: [
    frame(1, 'hello'),
    frame(2, Buffer.alloc(300, 7)),
    Buffer.concat([frame(1, 'a', { fin: false }), frame(9, 'ping'), frame(0, 'b')]),
    Buffer.concat([frame(1, 'one'), frame(10, 'pong'), frame(2, '')]),
    Buffer.concat([frame(1, 'bye'), closeFrame(1000, 'done'), frame(1, 'late')]),
    frame(2, 'x', { length: 65_536 }),
    frame(2, '', { length: 2 ** 53 }),
    frame(1, 'bare', { mask: false }),
    frame(3, 'opcode'),
    frame(8, 'x'),
  ].map((bytes) => bytes.toString('latin1')),
  words: ['\u0081', '\u0001', '\u0080', '\u0000', '\u0082', '\u0089\u0080', '\u0088\u0082', '\u00fe', '\u00ff', '\u0081\u00fe\u0001\u0000', '\u00c1'],
  feed: feedBytes,
};

/** What was told, in order; nothing is read after a close or a fault, as by a socket. */
class Told implements Received {
  readonly begun = 0;
  readonly all: string[] = [];
  isReading = true;

  evict(): void {}

  message(data: Buffer, binary: boolean): void {
    must(data.length <= LIMITS.message, 'a message is as large as it may be');
    this.all.push(`${binary ? 'binary' : 'text'} ${data.toString('latin1')}`);
  }

  ping(payload: Buffer): void {
    must(payload.length <= 125, 'a ping is short');
    this.all.push(`ping ${payload.toString('latin1')}`);
  }

  pong(payload: Buffer): void {
    this.all.push(`pong ${payload.toString('latin1')}`);
  }

  close(payload: Buffer): void {
    this.all.push(`close ${JSON.stringify(readClose(payload))}`);
    this.isReading = false;
  }

  fault(key: string): void {
    this.all.push(`fault ${key}`);
    this.isReading = false;
  }
}

function feedBytes(input: string, random: Random): void {
  const whole = read(input, input.length, random);
  must(isDeepStrictEqual(read(input, 1 + random.below(16), random), whole), 'it is the same in whatever pieces it comes');
}

/** In pieces of random sizes up to `most`. */
function read(input: string, most: number, random: Random): readonly string[] {
  const inbound = new Inbound(BOUND);
  const receiver = new Receiver(LIMITS, inbound);
  const told = new Told();
  for (let from = 0; from < input.length && told.isReading;) {
    const to = Math.min(input.length, from + (most >= input.length ? most : 1 + random.below(most)));
    const chunk = Buffer.from(input.slice(from, to), 'latin1');
    for (let at = 0; at < chunk.length && told.isReading;) at = receiver.read(chunk, at, 1 + random.below(4), told);
    from = to;
  }
  receiver.release();
  must(inbound.bytes === 0, 'nothing of it is held at its end');
  return told.all;
}
