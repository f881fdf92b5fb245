import type { IncomingMessage } from 'node:http';
import type { HttpErrorKey } from '../errors.ts';
import { isHost, readTarget, type RequestTarget } from './target.ts';

const MAX_HEADERS = 1000;

/** What is asked for, and of which host. */
export type AskedTarget = RequestTarget & { readonly host: string };

/** Reads a request's target and refuses what a proxy might understand differently. */
export function readRequest(request: IncomingMessage): AskedTarget | HttpErrorKey {
  if (request.rawHeaders.length > MAX_HEADERS * 2) return 'headers_too_large';
  if (request.httpVersion !== '1.1' || !hasOneHost(request.rawHeaders)) return 'bad_request';
  const target = readTarget(request.url ?? '');
  if (typeof target === 'string') return target;
  return { ...target, host: target.host ?? request.headers.host ?? '' };
}

/** Exactly one, not empty, and a host (RFC 9112 section 3.2). */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    if (!isHost(rawHeaders[index + 1] ?? '')) return false;
    hosts += 1;
  }
  return hosts === 1;
}
