import { isLayerError, type LayerErrorCode } from '@busgate/layer';
import type { ErrorKey } from './errors.ts';

/** What a publish that failed is to the client who asked for it: `away`: nothing was done; `unknown`: it may have been; `internal`: a fault of ours. */
export type PublishFailureKey = Extract<ErrorKey, 'bad_room' | 'no_history' | 'too_large' | 'full' | 'away' | 'unknown' | 'internal'>;

const KEYS: Readonly<Record<LayerErrorCode, PublishFailureKey>> = {
  INVALID_NAME: 'bad_room',
  UNSUPPORTED: 'no_history',
  MESSAGE_TOO_LARGE: 'too_large',
  CHANNEL_FULL: 'full',
  LAYER_AWAY: 'away',
  LAYER_CLOSED: 'away',
  REFUSED: 'away',
  OUTCOME_UNKNOWN: 'unknown',
  TIMEOUT: 'unknown',
  INVALID_MESSAGE: 'internal',
  CHANNEL_GONE: 'internal',
  FOREIGN_CHANNEL: 'internal',
  UNKNOWN_SCHEME: 'internal',
  INVALID_URL: 'internal',
  INVALID_OPTION: 'internal',
};

/** The key of what a publish failed with, the same on every wire. */
export function publishFailure(error: unknown): PublishFailureKey {
  return isLayerError(error) ? KEYS[error.code] : 'internal';
}

/** The key of what a subscription failed with. One that was not answered changed nothing that a second attempt would double. */
export function joinFailure(error: unknown): Exclude<PublishFailureKey, 'unknown'> {
  const key = publishFailure(error);
  return key === 'unknown' ? 'away' : key;
}
