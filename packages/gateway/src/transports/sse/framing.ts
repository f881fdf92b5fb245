import { Buffer, isUtf8 } from 'node:buffer';
import type { Sheet } from '../../session/link.ts';
import { chunkLength, chunkOf, putHead, putTail } from '../stream/chunks.ts';
import type { StreamFraming } from '../stream/link.ts';

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0;
const SPACE = 0x20;

const DATA = Buffer.from('data: ');
const END = Buffer.from('\n\n');
/** A comment: it dispatches nothing. */
const SILENCE = ':\n\n';

/** Messages as events (WHATWG HTML, section 9.2.6), each a chunk: `data` lines, and an `id` where the message says where it stands. */
export class EventFraming implements StreamFraming {
  readonly silence = chunkOf(SILENCE);
  readonly #isJson: boolean;

  /** `isJson`: messages are JSON, in which a CR stands between two tokens, and is a space like any other. Without it what lines cannot carry exactly is base64. */
  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  measure(sheet: Sheet): number {
    return chunkLength(this.#named(sheet)?.length ?? this.#lengthOf(sheet));
  }

  put(target: Buffer, offset: number, sheet: Sheet): number {
    const named = this.#named(sheet);
    let at = putHead(target, offset, named?.length ?? this.#lengthOf(sheet));
    if (named === undefined) at = this.#putLines(target, at, sheet);
    else at += named.copy(target, at);
    return putTail(target, at);
  }

  mark(cursor: string): Buffer {
    return chunkOf(`id: ${cursor}\n\n`);
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
