import { isLayerError } from '@busgate/layer';

/** Why a session's events go no further. */
export type Failure = 'accept_timeout' | 'handler_timeout' | 'resume_timeout' | 'full' | 'away' | 'failed';

/** What an error of a queue means. `unknown`: it may have been done. */
export function failureOf(error: unknown): 'full' | 'away' | 'unknown' | 'failed' {
  if (!isLayerError(error)) return 'failed';
  switch (error.code) {
    case 'CHANNEL_FULL':
      return 'full';
    case 'LAYER_AWAY':
      return 'away';
    case 'OUTCOME_UNKNOWN':
    case 'TIMEOUT':
      return 'unknown';
    default:
      return 'failed';
  }
}
