import type { Finding } from '../contract.ts';

/** Clocks may differ by so much, in milliseconds. */
const MOST_APART_MS = 1000;

/** What is to be said of a broker whose clock is ahead of this process's by so many milliseconds. */
export function clockFinding(broker: string, aheadMs: number): Finding {
  const apart = Math.abs(aheadMs);
  const what = `the clock differs from ${broker}'s by ${Math.round(apart)} ms`;
  return apart <= MOST_APART_MS ? { state: 'ok', what } : { state: 'fix', what, advice: 'chronyc makestep, on both machines' };
}

/** What a look finds; what may not be looked at is unknown, with the broker's reason. */
export async function findingOf(what: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return { state: 'unknown', what, advice: (error as Error).message };
  }
}
