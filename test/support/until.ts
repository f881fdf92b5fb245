import { setTimeout as delay } from 'node:timers/promises';

const ASK_AGAIN_MS = 100;
/** As long as a busy machine may take for what is done in a moment else: it costs nothing where it comes. */
const PATIENCE_MS = 120_000;

/** Resolves with what `ask` says as soon as `holds` is true of it. What cannot be asked yet is asked again. */
export async function until<T>(what: string, ask: () => T | Promise<T>, holds: (answer: T) => boolean, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + patienceMs;
  let last: unknown = 'no answer';
  for (let isLate = false; !isLate; await delay(ASK_AGAIN_MS)) {
    isLate = performance.now() > deadline;
    try {
      const answer = await ask();
      if (holds(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`not within ${patienceMs} ms: ${what}; the last answer: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}
