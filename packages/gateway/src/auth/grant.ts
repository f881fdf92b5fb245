import { isRoomPattern } from '../config/room-pattern.ts';
import { isObject, type JsonObject } from './json.ts';

/** What an issuer, or an application, says of a client. Times in milliseconds since 1970. */
export interface Grant {
  /** Undefined where it names nobody. */
  readonly user: string | undefined;
  readonly info: unknown;
  /** Patterns of rooms. */
  readonly join: readonly string[];
  readonly publish: readonly string[];
  /** Undefined: never. */
  readonly expiresAt: number | undefined;
  /** When it was said; undefined where that is not known. */
  readonly issuedAt: number | undefined;
  /** By which the issuer knows it. */
  readonly id: string | undefined;
}

/** Rooms, and what workers are told. */
export type Granted = Pick<Grant, 'join' | 'publish' | 'info'>;

/** Undefined where a member is not what it must be: then nothing of it is believed. */
export function readGranted(members: unknown): Granted | undefined {
  if (members === undefined) return { join: [], publish: [], info: undefined };
  if (!isObject(members)) return undefined;
  const join = patternsOf(members, 'join');
  const publish = patternsOf(members, 'publish');
  return join === undefined || publish === undefined ? undefined : { join, publish, info: members['info'] };
}

function patternsOf(members: JsonObject, name: string): readonly string[] | undefined {
  const patterns = members[name] ?? [];
  return Array.isArray(patterns) && patterns.every(isRoomPattern) ? patterns : undefined;
}
