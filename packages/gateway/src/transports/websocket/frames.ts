import { isUtf8 } from 'node:buffer';
import type { End } from '../../errors.ts';
import type { Framing, Sheet } from '../../session/link.ts';

/** Opcodes with FIN set (RFC 6455 section 5.2). */
const TEXT = 0x81;
const BINARY = 0x82;
const CLOSE = 0x88;
const PING = 0x89;
const PONG = 0x8a;

/** A close frame without a code (RFC 6455 section 7.1.5). */
const NO_CODE = 1005;

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

/** With {@link NO_CODE} the frame is empty. */
export function closeFrame({ code, reason }: End): Buffer {
  const text = Buffer.from(reason);
  const length = code === NO_CODE ? 0 : 2 + text.length;
  const frame = Buffer.allocUnsafe(2 + length);
  frame[0] = CLOSE;
  frame[1] = length;
  if (length === 0) return frame;
  frame.writeUInt16BE(code, 2);
  frame.set(text, 4);
  return frame;
}

/** What a client's close frame says, or what is wrong with it (RFC 6455 sections 5.5.1 and 7.4). */
export function readClose(payload: Buffer): End | 'protocol' | 'encoding' {
  if (payload.length === 0) return { code: NO_CODE, reason: '' };
  const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
  if (!mayBeSent(code)) return 'protocol';
  const reason = payload.subarray(2);
  return isUtf8(reason) ? { code, reason: reason.toString() } : 'encoding';
}

/** Whether a close frame may carry a code (RFC 6455 section 7.4). 1004 to 1006 and 1015 are words for what no frame says; those below 3000 belong to the protocol, those from 3000 on to whoever wants them. */
export function mayBeSent(code: number): boolean {
  return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);
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
