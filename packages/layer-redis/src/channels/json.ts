import type { Buffer } from 'node:buffer';
import { LayerError } from '@busgate/layer/driver';
import type { Packable } from './msgpack.ts';

const MAX_DEPTH = 200;
/** A whole number of so many digits may be one that a double has not. */
const LONG_NUMBER = /\d{16}/;
const NOT_FINITE = /NaN|Infinity/;
/** Strings, so that what stands in them is left alone, and Python's words for what is not finite. */
const STRINGS_AND_WORDS = /"[^"\\]*(?:\\.[^"\\]*)*"|\bNaN\b|-?\bInfinity\b/g;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The text that Python's `json.dumps` writes: ASCII alone, `, ` and `: ` between. A whole number is always an integer.
 * @throws LayerError INVALID_MESSAGE where there are bytes in it
 */
export function writeJson(value: Packable): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (value instanceof Uint8Array) {
    throw new LayerError('INVALID_MESSAGE', 'message holds bytes, which the JSON serializer of channels_redis cannot carry; serializer=msgpack can');
  }
  if (Array.isArray(value)) return `[${(value as readonly Packable[]).map(writeJson).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, member]) => `${quote(key)}: ${writeJson(member)}`)
    .join(', ')}}`;
}

/**
 * Reads what `json.dumps` wrote. Integers keep all their digits; `NaN` and the infinities, which JSON has no word for, become null.
 * @throws Error where it is no JSON in UTF-8
 */
export function readJson(bytes: Buffer): Packable {
  const text = utf8.decode(bytes);
  return portable(parse(NOT_FINITE.test(text) ? text.replaceAll(STRINGS_AND_WORDS, (found) => (found.startsWith('"') ? found : 'null')) : text), 0);
}

function parse(text: string): unknown {
  return LONG_NUMBER.test(text) ? (JSON.parse(text, exact) as unknown) : (JSON.parse(text) as unknown);
}

/** A whole number that a double has not is a BigInt of its digits. */
function exact(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined || !/^-?\d+$/.test(source)) return value;
  return BigInt(source);
}

function portable(value: unknown, depth: number): Packable {
  if (depth > MAX_DEPTH) throw new Error('nested too deeply');
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map((item) => portable(item, depth + 1));
  if (typeof value !== 'object' || value === null) return value as Packable;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), portable(member, depth + 1)]));
}

function quote(text: string): string {
  return JSON.stringify(text).replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
