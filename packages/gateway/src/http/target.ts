import type { HttpErrorKey } from '../errors.ts';

/** Bytes of a request's target. */
const MAX_TARGET = 2048;
/** What a path and a query may consist of (RFC 3986 section 3.3 and 3.4). */
const PATH = /^\/(?!\/)[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*$/;

/**
 * The path of a request's target, its escapes not decoded but valid; or what is wrong with it. The target is never read as a URL: that
 * makes hosts out of slashes.
 */
export function readPath(target: string): { readonly path: string } | HttpErrorKey {
  if (target.length > MAX_TARGET) return 'target_too_long';
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  if (!PATH.test(path) || !QUERY.test(query)) return 'bad_request';
  return areEscapesValid(path) && areEscapesValid(query) ? { path } : 'bad_request';
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
