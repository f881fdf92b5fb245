import { Buffer } from 'node:buffer';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { Extent } from './extent.ts';

/** Takes the messages of one connection. Channels and patterns are bytes as latin1. */
export interface MessageHandler {
  message(channel: string, payload: Buffer): void;
  patternMessage(pattern: string, channel: string, payload: Buffer): void;
}

/** What a message begins with, after the byte that says array (RESP2) or push (RESP3). */
const MESSAGE = Buffer.from('3\r\n$7\r\nmessage\r\n$');
const SHARDED = Buffer.from('3\r\n$8\r\nsmessage\r\n$');
const PATTERN = Buffer.from('4\r\n$8\r\npmessage\r\n$');

const ARRAY = 0x2a;
const PUSH = 0x3e;
const STRING = 0x24;
const CR = 0x0d;
const ZERO = 0x30;

/** No message begins here. */
const NONE = -1;
/** One may, and too little of it is there to know how long it is. */
const CUT = 0;

/** What Redis allows as the length of a string (`proto-max-bulk-len`) unless it is told otherwise. Memory is set aside for as much as is announced. */
const LONGEST = 512 * 1_048_576;

/** Bytes that are enough to see how long a message is, unless its names are longer than the layer's. */
const HEAD = 1024;

/**
 * Takes the messages out of what the server of a subscribed connection sends, and passes on everything else, unchanged and in order, before the
 * messages that follow it: confirmations, answers, errors. Whatever it does not understand it passes on with all that comes after. The connection is
 * used for subscriptions alone: there nothing but a message begins as one does, in either version of the protocol.
 *
 * A payload that came in one chunk is a part of that chunk, as it is from the client library's own parser: whoever gets it frames it, decodes it or
 * passes it on at once, so that a copy would be made for nothing. One that is kept keeps its chunk, some 64 KiB.
 */
export class MessageReader {
  readonly #handler: MessageHandler;
  readonly #passOn: (bytes: Buffer) => void;
  readonly #reply = new Extent();
  #aside = false;
  /** The beginning of what may be a message. */
  #begun: Buffer | undefined;
  /** A message of which a part has come, in its full length. */
  #frame: Buffer | undefined;
  #filled = 0;
  // Of the message that was measured last.
  #isPattern = false;
  #nameStart = 0;
  #nameEnd = 0;
  #channelStart = 0;
  #channelEnd = 0;
  #payloadStart = 0;
  #payloadEnd = 0;
  /** Where the string begins whose length was read last. */
  #start = 0;

  /** The first byte written must be the first of a reply. */
  constructor(handler: MessageHandler, passOn: (bytes: Buffer) => void) {
    this.#handler = handler;
    this.#passOn = passOn;
  }

  write(bytes: Buffer): void {
    if (this.#aside) {
      this.#passOn(bytes);
      return;
    }
    const begun = this.#begun;
    this.#begun = undefined;
    const chunk = begun === undefined || this.#resumes(begun, bytes) ? bytes : Buffer.concat([begun, bytes]);
    let at = this.#frame === undefined ? 0 : this.#fill(this.#frame, chunk);
    let from = at;
    while (at < chunk.length) {
      const size = this.#reply.isOpen ? NONE : this.#measure(chunk, at);
      if (size === NONE) {
        at = this.#follow(chunk, at);
      } else {
        if (from < at) this.#passOn(chunk.subarray(from, at));
        at = this.#take(chunk, at, size);
        from = at;
      }
    }
    if (from < at) this.#passOn(from === 0 ? chunk : chunk.subarray(from, at));
  }

  /** Sets a message aside that began in another chunk, so that this one need not be copied behind it; false where the beginning is none, or still too little. */
  #resumes(begun: Buffer, bytes: Buffer): boolean {
    const size = this.#measure(Buffer.concat([begun, bytes.subarray(0, HEAD)]), 0);
    if (size <= CUT) return false;
    this.#frame = Buffer.allocUnsafe(size);
    this.#filled = begun.copy(this.#frame);
    return true;
  }

  /** Answers where what is not a message ends. */
  #follow(chunk: Buffer, at: number): number {
    const end = this.#reply.follow(chunk, at);
    if (end !== -1) return end;
    this.#aside = true;
    return chunk.length;
  }

  /** Hands the message on, or keeps what has come of it; answers where that ends. */
  #take(chunk: Buffer, at: number, size: number): number {
    if (size === CUT) {
      // Alone, so that it does not keep its chunk.
      this.#begun = Buffer.from(chunk.subarray(at));
      return chunk.length;
    }
    if (at + size > chunk.length) {
      this.#frame = Buffer.allocUnsafe(size);
      this.#filled = chunk.copy(this.#frame, 0, at);
      return chunk.length;
    }
    this.#hand(chunk);
    return at + size;
  }

  /** The rest of a message, or more of it. */
  #fill(frame: Buffer, chunk: Buffer): number {
    const taken = chunk.copy(frame, this.#filled);
    this.#filled += taken;
    if (this.#filled === frame.length) {
      this.#frame = undefined;
      this.#measure(frame, 0);
      this.#hand(frame);
    }
    return taken;
  }

  /** What the handler throws is nobody's here to catch, and must not end the reading of what else has come. */
  #hand(chunk: Buffer): void {
    const name = chunk.toString('latin1', this.#nameStart, this.#nameEnd);
    const payload = chunk.subarray(this.#payloadStart, this.#payloadEnd);
    try {
      if (this.#isPattern) this.#handler.patternMessage(name, chunk.toString('latin1', this.#channelStart, this.#channelEnd), payload);
      else this.#handler.message(name, payload);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  /** The bytes of the message that begins at `at`, or NONE, or CUT. */
  #measure(chunk: Buffer, at: number): number {
    const first = chunk[at];
    if (first !== PUSH && first !== ARRAY) return NONE;
    const found = this.#kind(chunk, at + 1);
    if (found <= CUT) return found;
    let end = this.#announced(chunk, found);
    if (end <= CUT) return end;
    this.#nameStart = this.#start;
    this.#nameEnd = end;
    end = this.#announced(chunk, this.#next(chunk, end));
    if (end <= CUT) return end;
    if (this.#isPattern) {
      this.#channelStart = this.#start;
      this.#channelEnd = end;
      end = this.#announced(chunk, this.#next(chunk, end));
      if (end <= CUT) return end;
    }
    this.#payloadStart = this.#start;
    this.#payloadEnd = end;
    return end + 2 - at;
  }

  /** Answers where the length of the first string stands. */
  #kind(chunk: Buffer, at: number): number {
    const message = begins(chunk, at, MESSAGE);
    if (message !== NONE) {
      this.#isPattern = false;
      return message;
    }
    const sharded = begins(chunk, at, SHARDED);
    this.#isPattern = sharded === NONE;
    return sharded === NONE ? begins(chunk, at, PATTERN) : sharded;
  }

  /** Reads the length that stands at `at`; answers where the string ends, and notes where it begins. */
  #announced(chunk: Buffer, at: number): number {
    if (at <= CUT) return at;
    let length = 0;
    for (let next = at; next < chunk.length; next += 1) {
      const digit = (chunk[next] as number) - ZERO;
      if (digit >= 0 && digit <= 9) {
        length = length * 10 + digit;
        if (length > LONGEST) return NONE;
      } else {
        this.#start = next + 2;
        return next > at && chunk[next] === CR ? this.#start + length : NONE;
      }
    }
    return CUT;
  }

  /** Answers where the length of the next string stands, after the one that ends at `end`. */
  #next(chunk: Buffer, end: number): number {
    if (end + 2 >= chunk.length) return CUT;
    return chunk[end + 2] === STRING ? end + 3 : NONE;
  }
}

/** Answers where `beginning` ends in the chunk. */
function begins(chunk: Buffer, at: number, beginning: Buffer): number {
  const end = Math.min(at + beginning.length, chunk.length);
  for (let next = at; next < end; next += 1) if (chunk[next] !== beginning[next - at]) return NONE;
  return end === at + beginning.length ? end : CUT;
}

/**
 * Has messages read from a client library's socket before its own parser, which gets everything else. To be called between two replies.
 * Answers false, and leaves all as it is, where the stream is not read as it must be for that: by one listener for its bytes.
 */
export function readAhead(socket: Readable, handler: MessageHandler): boolean {
  const [parser, second] = socket.rawListeners('data');
  const isReadOtherwise = socket.listenerCount('readable') > 0 || socket.readableEncoding !== null || socket.readableObjectMode;
  // A listener for one event only is wrapped, and no parser.
  if (parser === undefined || second !== undefined || isReadOtherwise || parser !== socket.listeners('data')[0]) return false;
  const reader = new MessageReader(handler, (bytes) => parser.call(socket, bytes));
  socket.on('data', (bytes: Buffer) => reader.write(bytes));
  socket.off('data', parser as (bytes: Buffer) => void);
  return true;
}
