import type { Result, Traffic } from './measure.ts';

/** Of the load's core: above it the load may be what is measured. */
const FULL = 0.97;
/** Of the server's core: a run in which other programs used more of it says little. */
export const DISTURBED = 0.1;

/** What other programs used of the server's core. */
export function disturbance(result: Result): number {
  return result.kind === 'idle' ? 0 : result.serverCoreShare - result.serverShare;
}

/** Why the figures are to be taken with care, a sentence a reason. */
export function doubts(where: string, results: readonly Result[]): string[] {
  const worst = Math.max(...results.map(disturbance));
  const reasons: [number, string][] = [
    [results.filter(({ closed }) => closed > 0).length, 'the server closed clients'],
    [
      results.filter((result) => result.kind === 'saturation' && isHeldUp(result)).length,
      "the load's core was full and the server's was not, so that the server may be faster",
    ],
    [results.filter((result) => disturbance(result) > DISTURBED).length, `other programs used up to ${(worst * 100).toFixed(0)} % of the server's core`],
  ];
  return reasons.filter(([runs]) => runs > 0).map(([runs, reason]) => `${where}: in ${runs} of ${results.length} runs ${reason}.`);
}

function isHeldUp(result: Traffic): boolean {
  return result.loadCoreShare > FULL && result.serverCoreShare < FULL;
}
