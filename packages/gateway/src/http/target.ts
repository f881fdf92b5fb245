import type { HttpErrorKey } from '../errors.ts';

/** Bytes of a request's target. */
const MAX_TARGET = 2048;
/** What a path and a query may consist of (RFC 3986 section 3.3 and 3.4). */
const PATH = /^\/(?!\/)[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*$/;

/** What a request asks for: path and query, their escapes not decoded but valid. */
export interface Target {
  readonly path: string;
  /** What follows the first `?`. */
  readonly query: string;
}

/** Reads a request's target, or tells what is wrong with it. It is never read as a URL: that makes hosts out of slashes. */
export function readTarget(target: string): Target | HttpErrorKey {
  if (target.length > MAX_TARGET) return 'target_too_long';
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  if (!PATH.test(path) || !QUERY.test(query)) return 'bad_request';
  return areEscapesValid(path) && areEscapesValid(query) ? { path, query } : 'bad_request';
}

function areEscapesValid(text: string): boolean {
  if (!text.includes('%')) return true;
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
