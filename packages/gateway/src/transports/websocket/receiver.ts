import type { Holder, Inbound } from '../../inbound.ts';

const FIN = 0x80;
const RSV = 0x70;
const OPCODE = 0x0f;
const MASKED = 0x80;
const SEVEN_BITS = 0x7f;
const CONTINUATION = 0;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
/** Payload of a control frame at most (RFC 6455 section 5.5). */
const MAX_CONTROL = 125;
/** Two bytes, eight of length, four of mask. */
const MAX_HEADER = 14;
/** What is made ready at least for a message that comes in pieces, in bytes. */
const MIN_CAPACITY = 256;
/** What a piece of memory costs beside its bytes. */
const PIECE_COST = 256;

/** What a client may not send, by the key of the error that ends its session. */
export type ReceiveFault = 'protocol' | 'too_large' | 'too_many_fragments' | 'full';

/** What a client's frames are given to, in the order they came in. */
export interface Received extends Holder {
  /** False from the moment on that no more is wanted for now. */
  readonly isReading: boolean;
  /** A whole message, which came in so many frames. The bytes are the receiver's no more. */
  message(data: Buffer, binary: boolean, frames: number): void;
  ping(payload: Buffer): void;
  pong(payload: Buffer): void;
  close(payload: Buffer): void;
  fault(key: ReceiveFault): void;
}

export interface ReceiveLimits {
  /** Bytes of one message. */
  readonly message: number;
  /** Frames of one message. */
  readonly fragments: number;
}

/**
 * Reads the frames of a client (RFC 6455 section 5) from what its socket gives, in whatever pieces. What is not whole is copied together, so that it holds its own
 * size and no more however small its pieces are, and is counted against the bound of the process.
 */
export class Receiver {
  readonly #limits: ReceiveLimits;
  readonly #inbound: Inbound;
  /** Of a header that is cut off, the bytes that have come. */
  #header: number[] | undefined;
  /** The frame under way: -1 between frames. */
  #left = -1;
  #first = 0;
  #mask = 0;
  /** How far into the frame's payload, of which the mask's next byte follows. */
  #at = 0;
  /** The message under way: its first frame's opcode, 0 between messages; and its frames so far. */
  #opcode = CONTINUATION;
  #frames = 0;
  #message: Buffer | undefined;
  #length = 0;
  /** The control frame under way, which may come between the frames of a message. */
  #control: Buffer | undefined;

  constructor(limits: ReceiveLimits, inbound: Inbound) {
    this.#limits = limits;
    this.#inbound = inbound;
  }

  /** Whether nothing has begun that is not whole. */
  get isIdle(): boolean {
    return this.#left < 0 && this.#opcode === CONTINUATION && this.#header === undefined;
  }

  /** Reads from `chunk`, which it may write to, from `from` on, `frames` pieces of frames at most. Answers how far it came. */
  read(chunk: Buffer, from: number, frames: number, to: Received): number {
    let at = from;
    for (let count = 0; count < frames && at < chunk.length && to.isReading; count += 1) {
      if (this.#left >= 0) at = this.#continue(chunk, at, to);
      else if (this.#header === undefined && isWholeHeader(chunk, at)) at = this.#begin(chunk, at, chunk, at + headerLength(chunk[at + 1] ?? 0), to);
      else at = this.#collect(chunk, at, to);
    }
    return at;
  }

  /** What the message under way has taken of the process's bound, in bytes. */
  get begun(): number {
    return this.#message === undefined ? 0 : this.#message.length + PIECE_COST;
  }

  /** Gives back what it holds. */
  release(): void {
    if (this.#message !== undefined) this.#inbound.give(this.#message.length + PIECE_COST);
    this.#message = undefined;
    this.#control = undefined;
    this.#header = undefined;
    this.#left = -1;
    this.#opcode = CONTINUATION;
    this.#frames = 0;
    this.#length = 0;
  }

  /** More of a header that comes in pieces. */
  #collect(chunk: Buffer, from: number, to: Received): number {
    const header = (this.#header ??= []);
    let at = from;
    while (at < chunk.length && !isWholeHeader(header, 0) && header.length < MAX_HEADER) {
      header.push(chunk[at] ?? 0);
      at += 1;
    }
    if (!isWholeHeader(header, 0)) return at;
    this.#header = undefined;
    return this.#begin(header, 0, chunk, at, to);
  }

  /** A frame whose header stands in `header` and whose payload begins at `at` in `chunk`. */
  #begin(header: ArrayLike<number>, start: number, chunk: Buffer, at: number, to: Received): number {
    const first = header[start] ?? 0;
    const second = header[start + 1] ?? 0;
    const length = payloadLength(header, start);
    const fault = this.#faultOf(first, second, length);
    if (fault !== undefined) {
      to.fault(fault);
      return at;
    }
    this.#first = first;
    this.#mask = maskOf(header, start + headerLength(second) - 4);
    const isControl = (first & OPCODE) >= CLOSE;
    if (!isControl) {
      if (this.#opcode === CONTINUATION) this.#opcode = first & OPCODE;
      this.#frames += 1;
    }
    if (chunk.length - at >= length && (isControl || (this.#frames === 1 && (first & FIN) !== 0))) {
      const payload = chunk.subarray(at, at + length);
      unmask(payload, this.#mask, 0);
      if (isControl) this.#tellControl(payload, to);
      else this.#tellMessage(payload, to);
      return at + length;
    }
    this.#left = length;
    this.#at = 0;
    if (isControl) this.#control = Buffer.allocUnsafeSlow(length);
    return this.#continue(chunk, at, to);
  }

  /** More of the payload of a frame that comes in pieces, or is a part of a message. */
  #continue(chunk: Buffer, at: number, to: Received): number {
    const length = Math.min(this.#left, chunk.length - at);
    const isControl = this.#control !== undefined;
    const target = this.#control ?? this.#roomFor(length, to);
    if (target === undefined) {
      to.fault('full');
      return at;
    }
    const start = isControl ? this.#at : this.#length;
    chunk.copy(target, start, at, at + length);
    unmask(target.subarray(start, start + length), this.#mask, this.#at);
    this.#at += length;
    this.#left -= length;
    if (!isControl) this.#length += length;
    if (this.#left === 0) this.#endFrame(isControl, target, to);
    return at + length;
  }

  #endFrame(isControl: boolean, target: Buffer, to: Received): void {
    this.#left = -1;
    if (isControl) {
      this.#control = undefined;
      this.#tellControl(target, to);
    } else if ((this.#first & FIN) !== 0) {
      this.#tellMessage(target.subarray(0, this.#length), to);
    }
  }

  /** Where the message's next `more` bytes go: it doubles, so that it is copied once or twice. Undefined where the process's bound is met. */
  #roomFor(more: number, to: Received): Buffer | undefined {
    const before = this.#message;
    const needed = this.#length + more;
    if (before !== undefined && needed <= before.length) return before;
    const whole = (this.#first & FIN) === 0 ? this.#limits.message : this.#length + this.#left;
    const capacity = Math.min(whole, Math.max(MIN_CAPACITY, needed, this.#length * 2));
    if (!this.#inbound.take(capacity + PIECE_COST, to)) return undefined;
    const grown = Buffer.allocUnsafeSlow(capacity);
    if (before !== undefined) {
      before.copy(grown, 0, 0, this.#length);
      this.#inbound.give(before.length + PIECE_COST);
    }
    this.#message = grown;
    return grown;
  }

  #tellMessage(data: Buffer, to: Received): void {
    const binary = this.#opcode === BINARY;
    const frames = this.#frames;
    this.#opcode = CONTINUATION;
    this.#frames = 0;
    if (this.#message !== undefined) this.#inbound.give(this.#message.length + PIECE_COST);
    this.#message = undefined;
    this.#length = 0;
    to.message(data, binary, frames);
  }

  #tellControl(payload: Buffer, to: Received): void {
    const opcode = this.#first & OPCODE;
    if (opcode === PING) to.ping(payload);
    else if (opcode === PONG) to.pong(payload);
    else to.close(payload);
  }

  #faultOf(first: number, second: number, length: number): ReceiveFault | undefined {
    const opcode = first & OPCODE;
    if ((first & RSV) !== 0 || (second & MASKED) === 0) return 'protocol';
    if (opcode >= CLOSE) return opcode > PONG || (first & FIN) === 0 || length > MAX_CONTROL ? 'protocol' : undefined;
    const isWithin = this.#opcode !== CONTINUATION;
    if (opcode > BINARY || isWithin !== (opcode === CONTINUATION)) return 'protocol';
    if (this.#frames >= this.#limits.fragments) return 'too_many_fragments';
    return this.#length + length > this.#limits.message ? 'too_large' : undefined;
  }
}

/** Of a frame of a client, its mask included. */
function headerLength(second: number): number {
  return 6 + extendedLength(second);
}

/** Bytes of the length after the second one (RFC 6455 section 5.2). */
function extendedLength(second: number): number {
  const short = second & SEVEN_BITS;
  if (short === 126) return 2;
  return short === 127 ? 8 : 0;
}

/** A frame without a mask is told from its second byte. */
function isWholeHeader(bytes: ArrayLike<number>, at: number): boolean {
  const have = bytes.length - at;
  if (have < 2) return false;
  const second = bytes[at + 1] ?? 0;
  return (second & MASKED) === 0 || have >= headerLength(second);
}

function payloadLength(bytes: ArrayLike<number>, start: number): number {
  const second = bytes[start + 1] ?? 0;
  const extended = extendedLength(second);
  if (extended === 0) return second & SEVEN_BITS;
  let length = 0;
  for (let index = 0; index < extended; index += 1) length = length * 256 + (bytes[start + 2 + index] ?? 0);
  return length;
}

function maskOf(bytes: ArrayLike<number>, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

/** In place; `from`: how many bytes of the frame's payload come before these (RFC 6455 section 5.3). */
function unmask(bytes: Uint8Array, mask: number, from: number): void {
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = (bytes[index] as number) ^ (mask >>> (24 - ((from + index) & 3) * 8));
  }
}
