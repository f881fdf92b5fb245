import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in this, whatever the kernel is built with (proc(5), sysconf(_SC_CLK_TCK)). */
const TICK_MICROS = 10_000;

/** Microseconds of CPU that a process and its living children have had, kernel work for them included. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may hold anything; what follows it does not.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
  return childrenOf(pid).reduce((sum, child) => sum + cpuMicros(child), own);
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((child) => child !== '')
      .map(Number),
  );
}

/** Nanoseconds of CPU that the living threads of a process have had: finer than the kernel's ticks, for short measurements. */
export function cpuNanos(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')), 0);
}
