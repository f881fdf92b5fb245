import type { LayerFault } from './faults.ts';

/**
 * Every way a call on a layer can fail. The code is API and never changes its meaning; the message is for people.
 *
 * - `INVALID_NAME`: a room, channel or group name outside the rule of {@link checkName}.
 * - `INVALID_MESSAGE`: a message that is not a JSON object, or holds a value that JSON cannot carry.
 * - `MESSAGE_TOO_LARGE`: the encoded message or payload passes the layer's limit (1 MiB by default).
 * - `CHANNEL_FULL`: `capacity` unexpired messages wait in that channel. Nothing was stored.
 * - `CHANNEL_GONE`: nobody listens to that channel any more, where the broker or the owner can tell. In the first 5 s after the broker was away it is `LAYER_AWAY`, since
 *   the channel's process may not be back yet.
 * - `FOREIGN_CHANNEL`: `receive` on a channel that belongs to another process.
 * - `LAYER_AWAY`: the broker cannot be reached just now. Nothing was sent, nothing is held for later.
 * - `OUTCOME_UNKNOWN`: the connection broke after the call was written and before its answer. It may have taken effect; it is never resent.
 * - `TIMEOUT`: no answer in time (5 s for a request to another process).
 * - `LAYER_CLOSED`: `close()` was called.
 * - `UNSUPPORTED`: this layer cannot do that; the message names those that can.
 * - `UNKNOWN_SCHEME`: `openLayer` knows no driver for that URL.
 * - `INVALID_URL`: the URL names a driver that cannot read it; the message says what it expects.
 * - `INVALID_OPTION`: an option of `openLayer` or of a call is unknown or out of range.
 * - `REFUSED`: the broker refused the credentials.
 */
export type LayerErrorCode =
  | 'INVALID_NAME'
  | 'INVALID_MESSAGE'
  | 'MESSAGE_TOO_LARGE'
  | 'CHANNEL_FULL'
  | 'CHANNEL_GONE'
  | 'FOREIGN_CHANNEL'
  | 'LAYER_AWAY'
  | 'OUTCOME_UNKNOWN'
  | 'TIMEOUT'
  | 'LAYER_CLOSED'
  | 'UNSUPPORTED'
  | 'UNKNOWN_SCHEME'
  | 'INVALID_URL'
  | 'INVALID_OPTION'
  | 'REFUSED';

/** What every call on a layer rejects with. */
export class LayerError extends Error {
  override readonly name = 'LayerError';
  readonly code: LayerErrorCode;
  /** The kind of fault of the broker that it was, where that is known. */
  readonly fault: LayerFault | undefined;

  constructor(code: LayerErrorCode, message: string, options?: { cause?: unknown; fault?: LayerFault }) {
    super(message, options);
    this.code = code;
    this.fault = options?.fault;
  }
}

/** Whether `error` is a {@link LayerError}, with that code where one is given. */
export function isLayerError(error: unknown, code?: LayerErrorCode): error is LayerError {
  return error instanceof LayerError && (code === undefined || error.code === code);
}
