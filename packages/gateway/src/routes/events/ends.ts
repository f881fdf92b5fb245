import type { End } from '../../errors.ts';
import type { Failure } from './failure.ts';

/** The client has gone. */
export const LOST: End = { code: 1006, reason: '' };
/** What a client whose session cannot go on is told. */
export const CLOSES: Readonly<Record<Failure, End>> = {
  accept_timeout: LOST,
  handler_timeout: { code: 1011, reason: 'no worker answered in time' },
  resume_timeout: { code: 1012, reason: 'no worker took the session over: connect again' },
  full: { code: 1011, reason: 'the queue of the workers is full' },
  away: { code: 1011, reason: 'the layer cannot be reached just now' },
  failed: { code: 1011, reason: 'an error of the gateway' },
};
export const WORKER_LOST: End = { code: 1012, reason: 'the worker of this session is gone: connect again' };
export const DISOWNED: End = { code: 1012, reason: 'this gateway stood still: connect again' };
export const NOT_TAKEN_OVER: End = { code: 1011, reason: 'the worker did not take the session over' };
export const NOT_LET_ON: End = { code: 1008, reason: 'the worker refused to take the session over' };
