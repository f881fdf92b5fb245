import { Buffer, isUtf8 } from 'node:buffer';
import type { Framing, Sheet } from '../../session/link.ts';

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0;
const SPACE = 0x20;

const DATA = Buffer.from('data: ');
const END = Buffer.from('\n\n');
const CRLF = '\r\n';
/** What the body ends with. */
export const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** Messages as events (WHATWG HTML, section 9.2.6), each a chunk (RFC 9112 section 7.1): `data` lines, and an `id` where the message says where it stands. */
export class EventFraming implements Framing {
  readonly #isJson: boolean;

  /** `isJson`: messages are JSON, in which a CR stands between two tokens, and is a space like any other. Without it what lines cannot carry exactly is base64. */
  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  measure(sheet: Sheet): number {
    const length = this.#named(sheet)?.length ?? this.#lengthOf(sheet);
    return chunkHead(length).length + length + CRLF.length;
  }

  put(target: Buffer, offset: number, sheet: Sheet): number {
    const named = this.#named(sheet);
    let at = offset + target.write(chunkHead(named?.length ?? this.#lengthOf(sheet)), offset, 'latin1');
    if (named === undefined) at = this.#putLines(target, at, sheet);
    else at += named.copy(target, at);
    return at + target.write(CRLF, at, 'latin1');
  }

  mark(cursor: string): Buffer {
    return this.plain(`id: ${cursor}\n\n`);
  }

  /** What stands between events, in ASCII. */
  plain(text: string): Buffer {
    return Buffer.from(`${chunkHead(text.length)}${text}${CRLF}`, 'latin1');
  }

  /** The whole block of an event that has a name; undefined for a message in lines. */
  #named({ named, position, parts }: Sheet): Buffer | undefined {
    if (named !== undefined) return Buffer.from(`${idLine(position)}event: ${named.event}\ndata: ${named.data}\n\n`);
    if (this.#isJson || parts.every(isOfLines)) return undefined;
    return Buffer.from(`${idLine(position)}event: base64\ndata: ${Buffer.concat(parts).toString('base64')}\n\n`);
  }

  #lengthOf({ position, parts, length }: Sheet): number {
    let lines = 1;
    for (const part of parts) for (let at = part.indexOf(LF); at !== -1; at = part.indexOf(LF, at + 1)) lines += 1;
    return idLine(position).length + lines * DATA.length + length + END.length;
  }

  #putLines(target: Buffer, offset: number, { position, parts }: Sheet): number {
    let at = offset + target.write(idLine(position), offset, 'latin1');
    target.set(DATA, at);
    at += DATA.length;
    for (const part of parts) at = putPart(target, at, part);
    target.set(END, at);
    return at + END.length;
  }
}

function idLine(position: string | undefined): string {
  return position === undefined ? '' : `id: ${position}\n`;
}

function chunkHead(length: number): string {
  return `${length.toString(16)}${CRLF}`;
}

function isOfLines(part: Uint8Array): boolean {
  return !part.includes(CR) && !part.includes(NUL) && isUtf8(part);
}

/** Each line but the first begins with the field's name; a CR, which only JSON may have here, becomes a space. */
function putPart(target: Buffer, offset: number, part: Uint8Array): number {
  let at = offset;
  let from = 0;
  for (let end = part.indexOf(LF); end !== -1; end = part.indexOf(LF, from)) {
    target.set(part.subarray(from, end + 1), at);
    at += end + 1 - from;
    target.set(DATA, at);
    at += DATA.length;
    from = end + 1;
  }
  target.set(part.subarray(from), at);
  at += part.length - from;
  for (let cr = target.subarray(offset, at).indexOf(CR); cr !== -1; cr = target.subarray(offset, at).indexOf(CR, cr + 1)) target[offset + cr] = SPACE;
  return at;
}
