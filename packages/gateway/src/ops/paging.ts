import { Buffer } from 'node:buffer';
import { OpsError } from './errors.ts';

const DEFAULT_LIMIT = 100;
export const MOST = 1000;

/** How many a page may have. */
export function limitOf(query: URLSearchParams): number {
  const written = query.get('limit');
  if (written === null) return DEFAULT_LIMIT;
  const limit = /^\d{1,4}$/.test(written) ? Number(written) : 0;
  if (limit < 1 || limit > MOST) throw new OpsError('bad_request');
  return limit;
}

/** Where a page begins, as the one before it said; opaque to whoever asks. */
export function writeCursor(place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** Undefined for the first page. `kinds`: of what kinds the place is. */
export function readCursor(query: URLSearchParams, kinds: readonly ('string' | 'number')[]): readonly (string | number)[] | undefined {
  const written = query.get('cursor');
  if (written === null) return undefined;
  try {
    const place: unknown = JSON.parse(Buffer.from(written, 'base64url').toString());
    if (Array.isArray(place) && place.length === kinds.length && place.every((part, index) => typeof part === kinds[index])) return place;
  } catch {
    // Told as what it must be.
  }
  throw new OpsError('bad_cursor');
}
