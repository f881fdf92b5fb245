import { totalmem } from 'node:os';

/** Bytes that this process may use: what its cgroup allows, else all of the machine's. */
export function memoryLimit(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}
