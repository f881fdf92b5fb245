import { Buffer } from 'node:buffer';
import { contentOf } from '../../content.ts';
import type { Sheet } from '../../session/link.ts';
import { chunkLength, chunkOf, putHead, putTail } from '../stream/chunks.ts';
import type { StreamFraming } from '../stream/link.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;

/** What a sheet becomes: one JSON object in parts, and the lines that stand behind it. */
interface Line {
  readonly parts: readonly Uint8Array[];
  readonly end: string;
  readonly length: number;
}

/** Messages as lines, one JSON object each, in a chunk of its own. Where the sheet says where its session stands with it, a line with the cursor follows. */
export class LineFraming implements StreamFraming {
  readonly silence = chunkOf('{"type":"ping"}\n');
  readonly #isJson: boolean;
  /** The sheet that was measured last, which is put next. */
  #measured: { readonly sheet: Sheet; readonly line: Line } | undefined;

  /** `isJson`: messages are frames. Without it they are payloads, which become frames that name no room. */
  constructor(isJson: boolean) {
    this.#isJson = isJson;
  }

  measure(sheet: Sheet): number {
    const line = this.#lineOf(sheet);
    this.#measured = { sheet, line };
    return chunkLength(line.length);
  }

  put(target: Buffer, offset: number, sheet: Sheet): number {
    const { parts, end, length } = this.#measured?.sheet === sheet ? this.#measured.line : this.#lineOf(sheet);
    this.#measured = undefined;
    let at = putHead(target, offset, length);
    const begin = at;
    for (const part of parts) {
      target.set(part, at);
      at += part.length;
    }
    toOneLine(target.subarray(begin, at));
    return putTail(target, at + target.write(end, at, 'latin1'));
  }

  mark(cursor: string): Buffer {
    return chunkOf(cursorLine(cursor));
  }

  #lineOf(sheet: Sheet): Line {
    const parts = this.#isJson ? sheet.parts : frameOf(sheet);
    const isPlaced = sheet.position !== undefined && (this.#isJson || sheet.named !== undefined);
    const end = isPlaced ? `\n${cursorLine(sheet.position)}` : '\n';
    return { parts, end, length: parts.reduce((sum, { length }) => sum + length, end.length) };
  }
}

/** A payload, or an event, as a frame of `/socket`; it says where it stands itself. */
function frameOf({ named, parts, position }: Sheet): readonly Uint8Array[] {
  if (named !== undefined) return [Buffer.from(`{"type":"${named.event}",${named.data.slice(1)}`)];
  const [only = Buffer.alloc(0), ...others] = parts;
  const [member, value] = contentOf(others.length === 0 ? only : Buffer.concat(parts));
  const place = position === undefined ? '' : `,"position":${JSON.stringify(position)}`;
  return [Buffer.from(`{"type":"message","${member}":`), value, Buffer.from(`${place}}`)];
}

function cursorLine(cursor: string): string {
  return `{"type":"cursor","cursor":${JSON.stringify(cursor)}}\n`;
}

/** A line break, which JSON may have between two tokens only, is a space like any other. */
function toOneLine(json: Buffer): void {
  for (const lineBreak of [LF, CR]) for (let at = json.indexOf(lineBreak); at !== -1; at = json.indexOf(lineBreak, at + 1)) json[at] = SPACE;
}
