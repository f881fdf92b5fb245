import { Buffer, isUtf8 } from 'node:buffer';
import type { RouteRequest } from '../request.ts';
import { elementsOf } from './source.ts';

const JSON_TYPE = /^application\/json\s*(?:;|$)/i;

/** The frames of a request's body, one or a list of them, each as it was sent; undefined where it is neither. What is wrong with one of them is its own answer. */
export function framesOf(body: Uint8Array): readonly Buffer[] | undefined {
  const text = textOf(body);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (Array.isArray(value)) return elementsOf(text).map((frame) => Buffer.from(frame));
  return typeof value === 'object' && value !== null ? [Buffer.from(text)] : undefined;
}

/** What a body of `application/json` asks for: an object that names rooms, and is no frame. */
export function askedOf({ 'content-type': type }: RouteRequest['headers'], body: Uint8Array): RouteRequest['asked'] {
  if (typeof type !== 'string' || !JSON_TYPE.test(type)) return undefined;
  const value = parse(textOf(body) ?? '');
  const isAsked = typeof value === 'object' && value !== null && Object.hasOwn(value, 'rooms') && !Object.hasOwn(value, 'type');
  return isAsked ? (value as RouteRequest['asked']) : undefined;
}

/** Undefined where it is not UTF-8: what would stand in its place is not what was sent. */
function textOf(body: Uint8Array): string | undefined {
  if (!isUtf8(body)) return undefined;
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
