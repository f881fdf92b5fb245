import { Buffer } from 'node:buffer';

/** How HTTP/1.1 frames a body whose length is not known before its end (RFC 9112 section 7.1). */
const CRLF = '\r\n';
/** What the body ends with. */
export const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** Bytes of a chunk that holds so many. */
export function chunkLength(length: number): number {
  return headOf(length).length + length + CRLF.length;
}

/** Writes what stands before the chunk's bytes; answers where they begin. */
export function putHead(target: Buffer, offset: number, length: number): number {
  return offset + target.write(headOf(length), offset, 'latin1');
}

/** Writes what stands behind them; answers where the chunk ends. */
export function putTail(target: Buffer, offset: number): number {
  return offset + target.write(CRLF, offset, 'latin1');
}

/** One that holds this text, in ASCII. */
export function chunkOf(text: string): Buffer {
  return Buffer.from(`${headOf(text.length)}${text}${CRLF}`, 'latin1');
}

function headOf(length: number): string {
  return `${length.toString(16)}${CRLF}`;
}
