import { Buffer, isUtf8 } from 'node:buffer';
import { isJson } from './content/json.ts';

/** Levels of arrays and objects that a JSON value of a client's, or for one, may have. */
export const MAX_DEPTH = 32;

/** In which member of a frame a payload stands: JSON that is no deeper than a client need bear, other UTF-8, or anything else. */
export type Content = 'data' | 'text' | 'base64';

/** Which of them it is. */
export function kindOf(payload: Uint8Array): Content {
  if (!isUtf8(payload)) return 'base64';
  return isJson(payload, MAX_DEPTH) ? 'data' : 'text';
}

/** It as that, in JSON. */
export function valueAs(content: Content, payload: Uint8Array): Uint8Array {
  if (content === 'data') return payload;
  return Buffer.from(content === 'text' ? JSON.stringify(bufferOf(payload).toString()) : `"${bufferOf(payload).toString('base64')}"`);
}

/** The member, and its value as JSON. */
export function contentOf(payload: Uint8Array): readonly [content: Content, value: Uint8Array] {
  const content = kindOf(payload);
  return [content, valueAs(content, payload)];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
