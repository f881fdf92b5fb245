import type { Config } from '../config.ts';
import { type Finding, fix, ok, unknown } from './finding.ts';

/** What an orchestrator may take to signal, and a process to end, beside the deadline. In milliseconds. */
const SPARE_MS = 2000;

/** Whether the drain ends before who asked for it kills the process. `grace` in milliseconds; undefined: only the orchestrator knows it. */
export function drainFinding({ drain }: Pick<Config, 'drain'>, grace: number | undefined): Finding {
  const deadline = drain.deadline / 1000;
  if (grace === undefined)
    return unknown(
      `drain.deadline ${deadline}s against the orchestrator's grace`,
      'say it: --grace 60s (terminationGracePeriodSeconds, stop_grace_period, TimeoutStopSec)',
    );
  const what = `drain.deadline ${deadline}s, grace ${grace / 1000}s`;
  if (drain.deadline + SPARE_MS <= grace) return ok(what);
  const wanted = Math.ceil((drain.deadline + SPARE_MS) / 1000);
  return fix(
    `${what}: a drain is killed before its end`,
    `terminationGracePeriodSeconds: ${wanted} (stop_grace_period: ${wanted}s), or --drain-deadline ${Math.max(1, Math.floor((grace - SPARE_MS) / 1000))}s`,
  );
}
