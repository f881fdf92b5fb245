import { readFileSync } from 'node:fs';

/** Where the system does not say. */
const UNKNOWN = 10_000;
const UNLIMITED = 1_000_000;

/** How many descriptors this process may open (`ulimit -n`; Node raises the soft limit to the hard one). */
export function descriptorLimit(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return UNKNOWN;
  }
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  if (soft === 'unlimited') return UNLIMITED;
  return Number.isSafeInteger(Number(soft)) ? Number(soft) : UNKNOWN;
}
