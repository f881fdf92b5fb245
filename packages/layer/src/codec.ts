import { Buffer } from 'node:buffer';
import type { Message, Value } from './contract.ts';
import { LayerError } from './errors.ts';

const BYTES = '$bytes';
/** Deeper than anything sane, far from the stack's end. */
const MAX_DEPTH = 200;
/** A queue's element carries its deadline under this name on Redis, beside the message's own members. */
const EXPIRES = '__expires';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A message as it travels: one JSON object in UTF-8.
 * @throws LayerError INVALID_MESSAGE naming the member at fault; MESSAGE_TOO_LARGE
 */
export function encodeMessage(message: unknown, maxBytes: number): Uint8Array {
  if (!isPlainObject(message)) throw invalid(`must be a JSON object, not ${nameOf(message)}`);
  if (Object.hasOwn(message, EXPIRES)) throw invalid(`must not have the member ${EXPIRES}: it is the layer's own`);
  const bytes = plain(Buffer.from(JSON.stringify(isPortable(message, 0) ? message : portable(message, '', 0))));
  if (bytes.length > maxBytes) throw new LayerError('MESSAGE_TOO_LARGE', `message has ${bytes.length} bytes, at most ${maxBytes} are allowed`);
  return bytes;
}

/** The text of what several will read, so that each need only parse it; undefined where it is not UTF-8. */
export function decodeText(payload: Uint8Array): string | undefined {
  try {
    return decoder.decode(payload);
  } catch {
    return undefined;
  }
}

/** Reads what {@link encodeMessage} or a program in another language wrote; undefined where it is no JSON object in UTF-8. */
export function decodeMessage(payload: Uint8Array | string): Message | undefined {
  try {
    const text = typeof payload === 'string' ? payload : decoder.decode(payload);
    const parsed: unknown = JSON.parse(text);
    if (!isPlainObject(parsed)) return undefined;
    return text.includes(BYTES) ? reviveMessage(parsed) : (parsed as Message);
  } catch {
    return undefined;
  }
}

/** Turns the `{"$bytes"}` objects inside a parsed message into bytes, in place. */
function reviveMessage(parsed: Record<string, unknown>): Message {
  for (const key of Object.keys(parsed)) reviveMember(parsed, key, 0);
  return parsed as Message;
}

/**
 * A room's payload as bytes of the layer's own, which no caller changes afterwards; lone surrogates of a string become U+FFFD. Small ones lie in
 * Node's pool: a copy there costs a fifth of one with a buffer of its own.
 */
export function encodePayload(payload: unknown, maxBytes: number): Uint8Array {
  const bytes = typeof payload === 'string' ? plain(Buffer.from(payload)) : payload;
  if (!(bytes instanceof Uint8Array)) throw invalid(`of a room must be a string or a Uint8Array, not ${nameOf(payload)}`);
  if (bytes.length > maxBytes) throw new LayerError('MESSAGE_TOO_LARGE', `payload has ${bytes.length} bytes, at most ${maxBytes} are allowed`);
  return typeof payload === 'string' ? bytes : plain(Buffer.from(bytes));
}

/** Not a Buffer, whose methods are not those of a Uint8Array: its `slice` copies nothing. */
function plain({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

/** Whether JSON carries a value just as it is, which is the rule: then nothing is copied. What is wrong with one that it does not carry {@link portable} says. */
function isPortable(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed();
    case 'number':
      return Number.isFinite(value);
    case 'object':
      return value === null || (depth <= MAX_DEPTH && (Array.isArray(value) ? areItemsPortable(value, depth) : areMembersPortable(value, depth)));
    default:
      return typeof value === 'boolean';
  }
}

/** Not those of an array with holes, or with members beside its items. */
function areItemsPortable(value: readonly unknown[], depth: number): boolean {
  const isOrdinary = Object.getPrototypeOf(value) === Array.prototype && Object.keys(value).length === value.length;
  return isOrdinary && value.every((item) => isPortable(item, depth + 1));
}

function areMembersPortable(value: object, depth: number): boolean {
  if (!isPlainObject(value)) return false;
  for (const key of Object.keys(value)) if (key === BYTES || !key.isWellFormed() || !isPortable(value[key], depth + 1)) return false;
  return true;
}

function portable(value: unknown, path: string, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : value.toWellFormed();
    case 'number':
      if (!Number.isFinite(value)) throw invalid(`member ${path} is ${value}, which JSON cannot carry`);
      return value;
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : portableObject(value, path, depth);
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
      throw invalid(`member ${path} is ${nameOf(value)}, which JSON cannot carry`);
  }
}

function portableObject(value: object, path: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw invalid(`is nested more than ${MAX_DEPTH} levels deep, or holds itself`);
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, index) => portable(item, `${path}[${index}]`, depth + 1));
  }
  if (!isPlainObject(value)) throw invalid(`member ${path} is ${nameOf(value)}, which JSON cannot carry`);
  const keys = Object.keys(value);
  if (depth > 0 && keys.length === 1 && keys[0] === BYTES) {
    throw invalid(`member ${path} is an object whose only member is ${BYTES}: that is how bytes travel; pass a Uint8Array`);
  }
  const result: Record<string, unknown> = {};
  for (const key of keys) define(result, key.toWellFormed(), portable(value[key], path === '' ? key : `${path}.${key}`, depth + 1));
  return result;
}

function reviveMember(holder: Record<string, unknown> | unknown[], key: string | number, depth: number): void {
  const value = (holder as Record<string | number, unknown>)[key];
  if (typeof value !== 'object' || value === null) return;
  if (depth > MAX_DEPTH) throw invalid('is nested too deeply');
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) reviveMember(value, index, depth + 1);
    return;
  }
  const members = value as Record<string, unknown>;
  const keys = Object.keys(members);
  const encoded = keys.length === 1 && keys[0] === BYTES ? members[BYTES] : undefined;
  if (typeof encoded === 'string') define(holder, key, new Uint8Array(Buffer.from(encoded, 'base64')));
  else for (const inner of keys) reviveMember(members, inner, depth + 1);
}

/** Assigns without ever meeting a setter, so that a member named `__proto__` is a member like any other. */
function define(holder: object, key: string | number, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}

function isPlainObject(value: unknown): value is Record<string, Value> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an object of class ${value.constructor?.name ?? 'unknown'}`;
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}

function invalid(what: string): LayerError {
  return new LayerError('INVALID_MESSAGE', `message ${what}`);
}
