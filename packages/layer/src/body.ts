import { Buffer } from 'node:buffer';
import { decodeMessage, decodeText } from './codec.ts';
import type { Message } from './contract.ts';

/** A message on its way to the channels of this process, as it came: decoded anew for each who receives it, and not at all for a listener. */
export class Body {
  readonly #bytes: Uint8Array;
  readonly #without: string | undefined;
  readonly #isOwn: boolean;
  #text: string | undefined;

  /** A JSON object in UTF-8; `without` is a member that is not the message's, `isOwn` says that the bytes are no part of what came from a socket. */
  constructor(bytes: Uint8Array, { without, isOwn = false }: { readonly without?: string; readonly isOwn?: boolean } = {}) {
    this.#bytes = bytes;
    this.#without = without;
    this.#isOwn = isOwn;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Undefined where it is no message. */
  read(): Message | undefined {
    const message = decodeMessage((this.#text ??= decodeText(this.#bytes)) ?? this.#bytes);
    if (message === undefined || this.#without === undefined) return message;
    const { [this.#without]: _, ...rest } = message;
    return rest;
  }

  /** The same, without what it is a part of: for one that waits. */
  copy(): Body {
    if (this.#isOwn) return this;
    return new Body(new Uint8Array(this.#bytes), { isOwn: true, ...(this.#without === undefined ? {} : { without: this.#without }) });
  }
}

const TO = Buffer.from('{"$to":"');
const MESSAGE = Buffer.from('","$message":{');
const QUOTE = 0x22;
const BRACE = 0x7d;
/** No channel's name is longer. */
const LONGEST = 200;
/** Programs write it first, with their own way of spaces. */
const CHANNEL_FIRST = /^\{\s*"channel"\s*:\s*"([^"\\]*)"\s*[,}]/;

/** Whom a message is for, told by its first bytes. */
export interface Addressed {
  readonly channel: string;
  readonly body: Body;
}

/**
 * Reads `{"$to":"<channel>","$message":{…}}` of a layer and `{"channel":"<channel>",…}` of any program, without looking into the message; undefined for any other
 * form of the same, which is to be parsed.
 */
export function readAddress(payload: Uint8Array): Addressed | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes.at(-1) !== BRACE) return undefined;
  if (hasAt(bytes, 0, TO)) return readWrapped(bytes, payload);
  const channel = CHANNEL_FIRST.exec(bytes.toString('latin1', 0, LONGEST + 40))?.[1];
  return channel === undefined ? undefined : { channel, body: new Body(payload, { without: 'channel' }) };
}

function readWrapped(bytes: Buffer, payload: Uint8Array): Addressed | undefined {
  const end = bytes.indexOf(QUOTE, TO.length);
  if (end === -1 || !hasAt(bytes, end, MESSAGE)) return undefined;
  const channel = bytes.toString('latin1', TO.length, end);
  return channel.includes('\\') ? undefined : { channel, body: new Body(payload.subarray(end + MESSAGE.length - 1, -1)) };
}

function hasAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  return bytes.length >= at + wanted.length && bytes.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0;
}
