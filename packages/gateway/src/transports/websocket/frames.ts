import type { Framing, Sheet } from '../../session/link.ts';

/** Opcodes with FIN set (RFC 6455 section 5.2). */
const TEXT = 0x81;
const BINARY = 0x82;
const PING = 0x89;
const PONG = 0x8a;

/** The longest payload whose length stands in the second byte, and in the two after it. */
const SHORT = 125;
const MEDIUM = 0xffff;

/** Messages as unfragmented, unmasked frames: a server's (RFC 6455 section 5.1). */
export const WEBSOCKET_FRAMING: Framing = {
  measure: (sheet) => headerLength(sheet.length) + sheet.length,
  put(target, offset, sheet) {
    let at = putHeader(target, offset, sheet);
    for (const part of sheet.parts) {
      target.set(part, at);
      at += part.length;
    }
    return at;
  },
};

/** A ping whose answer carries `token`, 0 to 2^32 - 1. */
export function pingFrame(token: number): Buffer {
  const frame = Buffer.allocUnsafe(6);
  frame[0] = PING;
  frame[1] = 4;
  frame.writeUInt32BE(token, 2);
  return frame;
}

/** The token of a pong; -1 where it answers no ping of ours. */
export function tokenOf(payload: Buffer): number {
  return payload.length === 4 ? payload.readUInt32BE(0) : -1;
}

/** The answer to a ping: the same payload, 125 bytes at most. */
export function pongFrame(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(2 + payload.length);
  frame[0] = PONG;
  frame[1] = payload.length;
  frame.set(payload, 2);
  return frame;
}

function headerLength(length: number): number {
  if (length <= SHORT) return 2;
  return length <= MEDIUM ? 4 : 10;
}

function putHeader(target: Buffer, offset: number, { binary, length }: Sheet): number {
  target[offset] = binary ? BINARY : TEXT;
  if (length <= SHORT) {
    target[offset + 1] = length;
    return offset + 2;
  }
  if (length <= MEDIUM) {
    target[offset + 1] = 126;
    target[offset + 2] = length >>> 8;
    target[offset + 3] = length & 0xff;
    return offset + 4;
  }
  target[offset + 1] = 127;
  target.writeBigUInt64BE(BigInt(length), offset + 2);
  return offset + 10;
}
