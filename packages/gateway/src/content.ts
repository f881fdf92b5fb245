import { Buffer, isUtf8 } from 'node:buffer';
import { isJson } from './content/json.ts';

/** Levels of arrays and objects that a JSON value of a client's, or for one, may have. */
export const MAX_DEPTH = 32;

/** In which member of a frame a payload stands: JSON that is no deeper than a client need bear, other UTF-8, or anything else. */
export type Content = 'data' | 'text' | 'base64';

/** Whether it stands in `data`, as it is. */
export function isData(payload: Uint8Array): boolean {
  return isUtf8(payload) && isJson(payload, MAX_DEPTH);
}

/** The member, and its value as JSON. */
export function contentOf(payload: Uint8Array): readonly [content: Content, value: Uint8Array] {
  if (isData(payload)) return ['data', payload];
  if (isUtf8(payload)) return ['text', Buffer.from(JSON.stringify(bufferOf(payload).toString()))];
  return ['base64', Buffer.from(`"${bufferOf(payload).toString('base64')}"`)];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
