import { Buffer } from 'node:buffer';
import type { Packable } from './msgpack.ts';

/** The type of what is published to a room: a consumer's method `busgate_message` gets it. Clients cannot choose another: it names a method. */
const ROOM_TYPE = 'busgate.message';
const BYTES = '$bytes';

export type DjangoMessage = { readonly [key: string]: Packable };

/** A message of the layer, one JSON object in UTF-8, as Django has it. */
export function fromJson(payload: Uint8Array): DjangoMessage {
  const parsed: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  return fromParsed(parsed) as DjangoMessage;
}

/** The same of a message that is parsed already. */
export function fromParsed(value: unknown): Packable {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map(fromParsed);
  if (typeof value !== 'object' || value === null) return value as Packable;
  const members = Object.entries(value);
  const [first] = members;
  if (members.length === 1 && first?.[0] === BYTES && typeof first[1] === 'string') return Buffer.from(first[1], 'base64');
  return Object.fromEntries(members.map(([key, member]) => [key.toWellFormed(), fromParsed(member)]));
}

/** A message of Django as one JSON object. Whole numbers keep all their digits; what JSON has no word for becomes null. */
export function toJson(message: DjangoMessage): Buffer {
  return Buffer.from(writeJson(message));
}

function writeJson(value: Packable): string {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return `{"${BYTES}":"${Buffer.from(value).toString('base64')}"}`;
  if (Array.isArray(value)) return `[${(value as readonly Packable[]).map(writeJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member)}`)
    .join(',')}}`;
}

/** What is published to a room, for consumers of the Django group of that name. */
export function fromRoom(payload: Uint8Array): DjangoMessage {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? { type: ROOM_TYPE, text } : { type: ROOM_TYPE, bytes };
}

/** What subscribers of the room get: the published bytes, or the JSON text of what a Django backend sent. */
export function toRoom(message: DjangoMessage): Uint8Array {
  const { type, text, bytes, ...others } = message;
  if (type === ROOM_TYPE && Object.keys(others).length === 0) {
    if (typeof text === 'string' && bytes === undefined) return Buffer.from(text);
    if (bytes instanceof Uint8Array && text === undefined) return bytes;
  }
  return toJson(message);
}

export function isMessage(value: Packable): value is DjangoMessage {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
