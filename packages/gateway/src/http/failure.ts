import type { HttpErrorKey } from '../errors.ts';
import type { PublishFailureKey } from '../layer-errors.ts';
import type { Log } from '../log.ts';

/** What a failure is over HTTP. A fault of ours is logged. */
export function failureKey(key: PublishFailureKey, error: unknown, log: Log): HttpErrorKey {
  if (key === 'internal') log.error('a request could not be served', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  return key === 'too_large' ? 'body_too_large' : key;
}

/** What Node's parser and timers tell of a request. Where it is nothing else it is malformed. */
export function clientErrorKey({ code }: NodeJS.ErrnoException): HttpErrorKey {
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'timeout' : 'bad_request';
}
