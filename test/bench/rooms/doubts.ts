import type { Result } from './measure.ts';

/** Of the load's core: above it the load may be what is measured. */
const FULL = 0.97;
/** Of the server's core: a run in which other programs used more of it says little. */
export const DISTURBED = 0.1;

/** What other programs used of the server's core. */
export function disturbance(result: Result): number {
  return result.kind === 'idle' ? 0 : result.serverCoreShare - result.serverShare;
}

/** Why the figures of some runs are to be taken with care, a sentence each. */
export function doubts(where: string, results: readonly Result[]): string[] {
  return results.flatMap((result, index) => reasons(result).map((reason) => `${where}, run ${index + 1}: ${reason}`));
}

function reasons(result: Result): string[] {
  const found: string[] = [];
  if (result.closed > 0) found.push(`the server closed ${result.closed} clients.`);
  if (result.kind === 'idle') return found;
  if (result.kind === 'saturation' && result.loadCoreShare > FULL && result.serverCoreShare < FULL)
    found.push("the load's core was full and the server's was not: the server may be faster than this.");
  if (disturbance(result) > DISTURBED) found.push(`other programs used ${(disturbance(result) * 100).toFixed(0)} % of the server's core.`);
  return found;
}
