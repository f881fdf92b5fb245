import { type Answer, jsonAnswer } from '../../answer.ts';
import type { ApiCall } from '../api.ts';

export const DRAIN_PATH = '/api/drain';

/** It has begun. */
export function drainAnswer(): Answer {
  return jsonAnswer(202, { draining: true });
}

/** `POST /api/drain`: what SIGTERM does, to the process whose port this is, with all its workers. */
export function drainCall(drain: () => void): ApiCall {
  return {
    method: 'POST',
    path: DRAIN_PATH,
    async serve() {
      drain();
      return drainAnswer();
    },
  };
}
