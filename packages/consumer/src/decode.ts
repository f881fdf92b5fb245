import { type GatewayEvent, isEvent } from './wire.ts';

/** Reads a message of a queue; undefined where it is no event. Bytes travel as `{"$bytes":"<base64>"}`. */
export function decodeEvent(payload: Uint8Array): GatewayEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !isEvent(value as Record<string, unknown>)) return undefined;
  const { bytes, body, ...event } = value as Record<string, unknown>;
  return {
    ...event,
    ...(bytes === undefined ? {} : { bytes: bytesOf(bytes) }),
    ...(body === undefined ? {} : { body: bytesOf(body) }),
  } as unknown as GatewayEvent;
}

function bytesOf(value: unknown): Uint8Array {
  const encoded = (value as { readonly $bytes?: unknown } | null)?.$bytes;
  return typeof encoded === 'string' ? new Uint8Array(Buffer.from(encoded, 'base64')) : new Uint8Array();
}
