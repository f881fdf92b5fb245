import type { Buffer } from 'node:buffer';

const CR = 0x0d;
const LF = 0x0a;

/** How many values follow each one that a type of this kind announces. */
const VALUES_EACH: Readonly<Record<string, number>> = { '*': 1, '>': 1, '~': 1, '%': 2 };
/** Their length in bytes is announced, and CR LF follows them. */
const STRINGS = '$!=';
/** They end with their line. */
const LINES = '+-:_#,(';

/** Finds where a reply of Redis ends (RESP2 and RESP3), however its bytes are cut into chunks; nothing of it is decoded. */
export class Extent {
  /** Values that have not come yet; none between replies. */
  #values = 0;
  /** Bytes of a string, and its CR LF, that have not come yet. */
  #bytes = 0;
  /** What has come of a line that announces something. */
  #line = '';

  /** Whether a reply has begun that has not ended. */
  get isOpen(): boolean {
    return this.#values > 0;
  }

  /** Answers where the reply ends that goes on, or begins, at `at`; the chunk's length where it does not end in it, -1 where the bytes are no RESP. */
  follow(chunk: Buffer, at: number): number {
    if (this.#values === 0) this.#values = 1;
    let next = at;
    while (next < chunk.length && this.#values > 0) {
      next = this.#bytes > 0 ? this.#followString(chunk, next) : this.#followLine(chunk, next);
      if (next === -1) return -1;
    }
    return next;
  }

  #followString(chunk: Buffer, at: number): number {
    const step = Math.min(this.#bytes, chunk.length - at);
    this.#bytes -= step;
    if (this.#bytes === 0) this.#values -= 1;
    return at + step;
  }

  #followLine(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LF, at);
    this.#line += chunk.toString('latin1', at, end === -1 ? chunk.length : end);
    if (end === -1) return chunk.length;
    const line = this.#line;
    this.#line = '';
    return line.charCodeAt(line.length - 1) === CR && this.#open(line.charAt(0), line.slice(1, -1)) ? end + 1 : -1;
  }

  /** Counts what the line announces; false where that cannot be known. */
  #open(type: string, text: string): boolean {
    if (LINES.includes(type)) {
      this.#values -= 1;
      return true;
    }
    const each = VALUES_EACH[type];
    if ((each === undefined && !STRINGS.includes(type)) || !/^(-1|\d{1,12})$/.test(text)) return false;
    const count = Number(text);
    if (count === -1) this.#values -= 1;
    else if (each === undefined) this.#bytes = count + 2;
    else this.#values += count * each - 1;
    return true;
  }
}
