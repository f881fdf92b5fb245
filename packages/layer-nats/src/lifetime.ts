import { headerOf, type StoredMessage } from './jetstream.ts';

/** Header: how long a message lives from when it was kept, in milliseconds; without it as long as the stream's own age. */
export const LIFETIME = 'Busgate-Lifetime';

/** Bytes that are kept free beside a message for its headers. */
export const HEADERS_ROOM = 128;

/** What is so large has no headers: the server counts them as a part of it. It lives as long as whoever reads it lets messages live. */
export function isTooLargeForHeaders(bytes: number, maxPayload: number): boolean {
  return bytes > maxPayload - HEADERS_ROOM;
}

/** How long a message lives that says so itself. */
export function lifetimeOf(message: StoredMessage): number | undefined {
  const said = headerOf(message, LIFETIME);
  return said === undefined ? undefined : Number(said);
}
