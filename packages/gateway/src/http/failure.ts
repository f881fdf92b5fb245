import { isLayerError } from '@busgate/layer';
import type { HttpErrorKey } from '../errors.ts';
import type { Log } from '../log.ts';

/** What a failure of the layer is to the client that asked. What is not the layer's is a fault of ours, and logged. */
export function failureKey(error: unknown, log: Log): HttpErrorKey {
  if (isLayerError(error, 'MESSAGE_TOO_LARGE')) return 'body_too_large';
  if (isLayerError(error)) return 'away';
  log.error('a request could not be served', { error: String(error) });
  return 'internal';
}
