import { readFileSync } from 'node:fs';

/** Where everything runs: the server under test has a core of its own, the broker and the load share another. */
export interface Cores {
  readonly server: number;
  readonly load: number;
}

/** The first two cores that this process may use. */
export function chooseCores(): Cores {
  if (process.platform !== 'linux') throw new Error('the bench measures with epoll, taskset and /proc: it runs on Linux only');
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  const [server, load] = allowed.split(',').flatMap(expand);
  if (server === undefined || load === undefined) throw new Error('the bench needs two cores: one for the server under test, one for the load and the broker');
  return { server, load };
}

function expand(range: string): number[] {
  const [first = Number.NaN, last = first] = range.split('-').map(Number);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
