import type { Reachable } from './cut-off.ts';
import { nothingKept } from './nothing-kept.ts';
import type { Runner, Subject } from './subject.ts';
import { runFamilies } from './suite.ts';
import { callsUnderWay } from './under-way.ts';

/** Defines the tests that make so many calls that each takes some seconds. Without `reachable`, what becomes of calls that wait is not tested. */
export function layerLoadConformance(runner: Runner, subject: Subject & { readonly reachable?: Reachable }): void {
  const { reachable } = subject;
  const families = [nothingKept, ...(reachable === undefined ? [] : [callsUnderWay(reachable)])];
  runner.describe(`layer conformance with many calls: ${subject.name}`, () => runFamilies(runner, subject, families));
}
