import type { HttpErrorKey } from '../errors.ts';

/** Bytes of a request's target. */
const MAX_TARGET = 2048;
/** What a path may consist of (RFC 3986 section 3.3). */
const PATH = /^\/(?!\/)[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
/** Browsers send more than RFC 3986 section 3.4 has, as it was typed: brackets, braces, bars, carets, backticks, quotes. */
const QUERY = /^[!-"$-~]*$/;
/** The form that is meant for proxies, which every server must take (RFC 9112 section 3.2.2); its authority is not empty and names no user. */
const ABSOLUTE = /^https?:\/\/([^/?#@]+)([/?].*)?$/i;
/** A name or an address, and a port (RFC 3986 section 3.2.2). */
const HOST = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/;

/** What a request asks for: path and query, their escapes not decoded but valid. */
export interface RequestTarget {
  readonly path: string;
  /** What follows the first `?`. */
  readonly query: string;
  /** Which host, where the target says so: it stands over the header `Host`. */
  readonly host?: string;
}

/** Reads a request's target, or tells what is wrong with it. It is never read as a URL: that makes hosts out of slashes. */
export function readTarget(target: string): RequestTarget | HttpErrorKey {
  if (target.length > MAX_TARGET) return 'target_too_long';
  const absolute = ABSOLUTE.exec(target);
  if (absolute === null) return readOrigin(target);
  const [, host = '', rest = ''] = absolute;
  const read = readOrigin(rest.startsWith('/') ? rest : `/${rest}`);
  if (typeof read === 'string' || !isHost(host)) return 'bad_request';
  return { ...read, host };
}

export function isHost(text: string): boolean {
  return HOST.test(text);
}

function readOrigin(target: string): RequestTarget | HttpErrorKey {
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
