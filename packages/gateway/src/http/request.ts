import type { IncomingMessage } from 'node:http';
import type { HttpErrorKey } from '../errors.ts';
import { readTarget, type Target } from './target.ts';

const MAX_HEADERS = 1000;

/** Reads a request's target and refuses what a proxy might understand differently. */
export function readRequest(request: IncomingMessage): Target | HttpErrorKey {
  if (request.rawHeaders.length > MAX_HEADERS * 2) return 'headers_too_large';
  if (request.httpVersion !== '1.1' || !hasOneHost(request.rawHeaders)) return 'bad_request';
  const target = readTarget(request.url ?? '');
  if (typeof target === 'string') return target;
  return request.method !== 'POST' && hasBody(request) ? 'bad_request' : target;
}

/** Exactly one, and not empty (RFC 9112 section 3.2). */
function hasOneHost(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host' && rawHeaders[index + 1] !== '') hosts += 1;
    else if (name.length === 4 && name.toLowerCase() === 'host') return false;
  }
  return hosts === 1;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
