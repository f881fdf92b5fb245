import { Buffer } from 'node:buffer';
import { type RoomRule, ruleFor } from '../config/room-rules.ts';

/** What a reader loses of a room that it cannot keep up with; `key`: the member of a message by which `latest` tells messages apart. */
export interface Loss {
  readonly slow: 'newest' | 'oldest' | 'latest';
  readonly key: string | undefined;
}

/** What each room's readers lose, by the rules for rooms. */
export function lossesOf(rules: readonly RoomRule[]): (room: string) => Loss | undefined {
  return (room) => {
    const { slow = 'close', key } = ruleFor(rules, room) ?? {};
    return slow === 'close' ? undefined : { slow, key };
  };
}

/** A message that could not be given to somebody at once, framed once for all of these. */
export interface DelayedMessage {
  readonly frame: Uint8Array;
  /** What `latest` replaces it by. */
  readonly key: string;
}

/** Of a message without the member, or that is no JSON. */
const NO_KEY = '';

/** The key of a message: the text, number or truth value that its member has; one for all messages in which there is none. */
export function keyOf(payload: Uint8Array | undefined, member: string | undefined): string {
  if (payload === undefined || member === undefined) return NO_KEY;
  const message = parse(payload);
  if (typeof message !== 'object' || message === null || !Object.hasOwn(message, member)) return NO_KEY;
  const value = (message as Record<string, unknown>)[member];
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? JSON.stringify(value) : NO_KEY;
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString());
  } catch {
    return undefined;
  }
}
