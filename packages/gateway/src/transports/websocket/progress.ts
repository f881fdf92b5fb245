const FIN = 0x80;
const OPCODE = 0x0f;
const CONTROL = 0x08;
const MASKED = 0x80;

/**
 * Follows the frames in what a client sends, by their headers alone, to know whether a message is under way: the library that reads them
 * tells only of whole ones. It judges nothing; what is malformed is the library's to refuse.
 */
export class Progress {
  /** Payload of the current frame, and mask, that has not come yet. */
  #left = 0;
  /** The bytes of a header that was cut off. */
  #header: number[] | undefined;
  /** Between the first and the last frame of a message. */
  #inMessage = false;

  /** Whether, after these bytes, a message or a frame has begun that is not yet whole. */
  feed(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, chunk.length - at);
        this.#left -= step;
        at += step;
      } else if (this.#header === undefined && chunk.length - at >= 2 && isWholeHeader(chunk, at)) {
        at += this.#begin(chunk, at);
      } else {
        at = this.#collect(chunk, at);
      }
    }
    return this.#inMessage || this.#left > 0 || this.#header !== undefined;
  }

  /** One byte more of a header that comes in pieces. */
  #collect(chunk: Uint8Array, at: number): number {
    const header = (this.#header ??= []);
    header.push(chunk[at] ?? 0);
    if (header.length >= 2 && isWholeHeader(header, 0)) {
      this.#header = undefined;
      this.#begin(header, 0);
    }
    return at + 1;
  }

  #begin(bytes: ArrayLike<number>, at: number): number {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1] ?? 0;
    const extended = extendedLength(second);
    let length = second & 0x7f;
    if (extended > 0) {
      length = 0;
      for (let index = 0; index < extended; index += 1) length = length * 256 + (bytes[at + 2 + index] ?? 0);
    }
    this.#left = length + ((second & MASKED) === 0 ? 0 : 4);
    if ((first & OPCODE & CONTROL) === 0) this.#inMessage = (first & FIN) === 0;
    return 2 + extended;
  }
}

function isWholeHeader(bytes: ArrayLike<number>, at: number): boolean {
  return bytes.length - at >= 2 + extendedLength(bytes[at + 1] ?? 0);
}

/** Bytes of the length after the second one (RFC 6455 section 5.2). */
function extendedLength(second: number): number {
  const short = second & 0x7f;
  if (short === 126) return 2;
  return short === 127 ? 8 : 0;
}
