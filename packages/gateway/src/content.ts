import { Buffer, isUtf8 } from 'node:buffer';
import { isJson } from './content/json.ts';

/** Levels of arrays and objects that a JSON value of a client's, or for one, may have. */
export const MAX_DEPTH = 32;

/** In which member of a frame a payload stands: JSON that is no deeper than a client need bear, other UTF-8, or anything else. */
export type Content = 'data' | 'text' | 'base64';

/** In which member it stands. */
export function memberOf(payload: Uint8Array): Content {
  if (!isUtf8(payload)) return 'base64';
  return isJson(payload, MAX_DEPTH) ? 'data' : 'text';
}

/** What stands in that member, as JSON. */
export function valueIn(member: Content, payload: Uint8Array): Uint8Array {
  if (member === 'data') return payload;
  return Buffer.from(member === 'text' ? JSON.stringify(bufferOf(payload).toString()) : `"${bufferOf(payload).toString('base64')}"`);
}

/** The member, and its value as JSON. */
export function contentOf(payload: Uint8Array): readonly [member: Content, value: Uint8Array] {
  const member = memberOf(payload);
  return [member, valueIn(member, payload)];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
