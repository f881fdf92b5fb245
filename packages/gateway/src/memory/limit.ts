import { totalmem } from 'node:os';

/** Bytes that this process may use: what its cgroup allows, else all of the machine's. */
export function memoryLimit(): number {
  return hasOwnLimit() ? process.constrainedMemory() : totalmem();
}

/** Whether a cgroup allows less than there is. */
export function hasOwnLimit(): boolean {
  const allowed = process.constrainedMemory();
  return allowed > 0 && allowed < totalmem();
}

/** What `limits.memory` says, in bytes: a share where it is 1 or less. Where nothing but the machine bounds them, the `workers` of a port share it. */
export function allowedMemory(setting: number, workers: number): number {
  const whole = memoryLimit();
  if (setting > 1) return Math.min(setting, whole);
  return (setting * whole) / (hasOwnLimit() ? 1 : workers);
}
