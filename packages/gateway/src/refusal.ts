import type { Answer } from './answer.ts';
import type { Counters } from './counters.ts';
import { ERRORS, httpError, keyOf, type Refused } from './errors.ts';

/** Counts a request that is refused, and answers it. Who may try again is told when, by how many others were. `headers` are added. */
export function refusal(counters: Counters, refused: Refused, headers?: Readonly<Record<string, string>>): Answer {
  const key = keyOf(refused);
  counters.refused[key] += 1;
  return ERRORS[key].retry ? httpError(refused, headers, counters.returns.add()) : httpError(refused, headers);
}
