import { setTimeout as delay } from 'node:timers/promises';

const ASK_AGAIN_MS = 100;

/** Resolves with what `ask` says as soon as `holds` is true of it. What cannot be asked yet is asked again. */
export async function until<T>(what: string, ask: () => T | Promise<T>, holds: (answer: T) => boolean, patienceMs = 30_000): Promise<T> {
  const deadline = performance.now() + patienceMs;
  let last: unknown = 'no answer';
  while (performance.now() < deadline) {
    try {
      const answer = await ask();
      if (holds(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await delay(ASK_AGAIN_MS);
  }
  throw new Error(`not within ${patienceMs} ms: ${what}; the last answer: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}
