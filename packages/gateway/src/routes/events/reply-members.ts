import { Buffer } from 'node:buffer';
import { isFieldValue, isOwnHeader, isToken } from '@busgate/consumer/run';
import { isName, type Message, type Value } from '@busgate/layer';
import { isReserved } from '../../reserved.ts';
import type { Header, ReplyRefusal } from './reply.ts';

/** A reply's members as they were parsed. */
export type Members = Readonly<Record<string, unknown>>;

/** Ends the reading of a reply, which is then dropped whole. */
export class ReplyError extends Error {
  readonly refusal: ReplyRefusal;

  constructor(refusal: ReplyRefusal, message: string) {
    super(message);
    this.refusal = refusal;
  }
}

/** Levels of arrays and objects in what a worker says: far from the stack's end, and fewer than the layer carries. */
const MAX_DEPTH = 100;
const BYTES = '$bytes';
/** Of values that a message may hold: JSON has no others, a handler in this process may say anything. */
const PLAIN: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Left out, or null as Python leaves out what it has not. */
export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** A member that may be absent. */
export function optional<T>(members: Members, name: string, read: (value: unknown, name: string) => T): T | undefined {
  const value = members[name];
  return isAbsent(value) ? undefined : read(value, name);
}

export function readText(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new ReplyError('bad_reply', `${name} must be a string`);
}

export function readFlag(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new ReplyError('bad_reply', `${name} must be true or false`);
}

/** Bytes travel as `{"$bytes":"<base64>"}`; within this process they are what they are. */
function readBytes(value: unknown, name: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (isObject(value) && typeof value[BYTES] === 'string') return decode(value[BYTES], name, 'bad_reply');
  throw new ReplyError('bad_reply', `${name} must be {"$bytes":"<base64>"}`);
}

/** With its padding and nothing else in it: what a decoder passes over would be missing in the frame. */
function decode(encoded: string, name: string, refusal: ReplyRefusal): Buffer {
  const bytes = Buffer.from(encoded, 'base64');
  if (encoded.length % 4 === 0 && bytes.length === Buffer.byteLength(encoded, 'base64')) return bytes;
  throw new ReplyError(refusal, `the bytes of ${name} are not base64 with its padding`);
}

/** Any value that a message of the layer may hold, the bytes in it as bytes. `refusal` is for what it may not. */
export function readValue(value: unknown, name: string, refusal: ReplyRefusal, depth = 0): Value {
  if (typeof value !== 'object') return readPlain(value, name, refusal);
  if (value === null || value instanceof Uint8Array) return value as Value;
  if (depth === MAX_DEPTH) throw new ReplyError(refusal, `${name} must be nested at most ${MAX_DEPTH} levels deep`);
  if (Array.isArray(value)) return value.map((item: unknown) => readValue(item, name, refusal, depth + 1));
  const members = Object.entries(value);
  if (members.length === 1 && members[0]?.[0] === BYTES && typeof members[0][1] === 'string') return new Uint8Array(decode(members[0][1], name, refusal));
  return readEach(members, name, refusal, depth + 1);
}

function readPlain(value: unknown, name: string, refusal: ReplyRefusal): Value {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new ReplyError(refusal, `${name} holds a number that is too large`);
  if (!PLAIN.has(typeof value)) throw new ReplyError(refusal, `${name} holds what no message can: ${typeof value}`);
  return value as Value;
}

/** A message for a group. */
export function readMessage(value: unknown, name: string): Message {
  if (!isObject(value)) throw new ReplyError('bad_reply', `${name} must be a JSON object`);
  return readEach(Object.entries(value), name, 'bad_reply', 1);
}

function readEach(members: readonly (readonly [string, unknown])[], name: string, refusal: ReplyRefusal, depth: number): Message {
  return Object.fromEntries(members.map(([key, member]) => [key, readValue(member, name, refusal, depth)]));
}

export function readWhole(from: number, to: number): (value: unknown, name: string) => number {
  return (value, name) => {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= from && value <= to) return value;
    throw new ReplyError('bad_reply', `${name} must be a whole number from ${from} to ${to}`);
  };
}

/** The name of a worker queue or a group. */
export function readName(value: unknown, name: string): string {
  if (isName(value)) return value;
  throw new ReplyError('bad_name', `${name} must be a name: 1 to 200 ASCII letters, digits and _ : @ -, with single dots between levels`);
}

/** The name of a room that clients may have: those that begin with `_` are Busgate's own. */
export function readRoom(value: unknown, name: string): string {
  const room = readName(value, name);
  if (isReserved(room)) throw new ReplyError('bad_name', `${name} must not begin with _: such rooms are Busgate's own`);
  return room;
}

/** Pairs of name and value; names become lower case. */
export function readHeaders(value: unknown, name: string): readonly Header[] {
  if (!Array.isArray(value)) throw new ReplyError('bad_header', `${name} must be a list of [name, value]`);
  return value.map((pair: unknown) => readHeader(pair, name));
}

function readHeader(pair: unknown, name: string): Header {
  if (!Array.isArray(pair) || pair.length !== 2) throw new ReplyError('bad_header', `each of ${name} must be [name, value]`);
  const [field, value] = pair as readonly unknown[];
  if (typeof field !== 'string' || !isToken(field)) throw new ReplyError('bad_header', `the name of a header in ${name} is no token`);
  if (typeof value !== 'string' || !isFieldValue(value)) {
    throw new ReplyError('bad_header', `the value of ${field} in ${name} must be a string of Latin-1 without line breaks and other control characters`);
  }
  const lower = field.toLowerCase();
  if (isOwnHeader(lower)) throw new ReplyError('bad_header', `${lower} is the gateway's to write`);
  return [lower, value];
}

/** Exactly one of the members that say what a payload is. */
export function readPayload(members: Members, names: readonly ('text' | 'bytes' | 'body' | 'json')[]): { readonly as: string; readonly payload: Uint8Array } {
  const given = names.filter((name) => members[name] !== undefined && (name === 'json' || members[name] !== null));
  const [as] = given;
  if (as === undefined || given.length > 1) throw new ReplyError('bad_reply', `exactly one of ${names.join(', ')} must be said`);
  const value = members[as];
  if (as === 'json') return { as, payload: jsonOf(value) };
  return { as, payload: as === 'text' ? Buffer.from(readText(value, as)) : readBytes(value, as) };
}

/** As it was sent, bytes too: what is published is their text. */
function jsonOf(value: unknown): Buffer {
  readValue(value, 'json', 'bad_reply');
  return Buffer.from(JSON.stringify(value));
}
