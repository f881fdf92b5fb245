import { Buffer } from 'node:buffer';

const LF = 0x0a;
const CR = 0x0d;
/** A longer line is given up, so that an input without line ends does not fill the memory. In bytes. */
export const MAX_LINE = 64 * 1024 * 1024;

/** A line without its end, byte for byte; undefined where it was longer than {@link MAX_LINE}. */
export type Line = Buffer | undefined;

/** Cuts a stream into lines as they come. A line ends with LF or CRLF; the last one also with the input. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #length = 0;

  /** The lines that this piece completes. */
  push(piece: Buffer): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let end = piece.indexOf(LF); end !== -1; end = piece.indexOf(LF, from)) {
      this.#keep(piece.subarray(from, end));
      lines.push(this.#take(true));
      from = end + 1;
    }
    this.#keep(piece.subarray(from));
    return lines;
  }

  /** What follows the last line end, if anything does. */
  end(): Line[] {
    return this.#length === 0 ? [] : [this.#take(false)];
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length <= MAX_LINE) this.#parts.push(part);
    else this.#parts = [];
  }

  #take(ended: boolean): Line {
    const tooLong = this.#length > MAX_LINE;
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    if (tooLong || line === undefined) return undefined;
    return ended && line.at(-1) === CR ? line.subarray(0, -1) : line;
  }
}
