import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Child, type ChildOptions } from '../../support/child.ts';

/** A process that runs on one core from its first instruction on. */
export function startPinned(core: number, command: string, args: readonly (string | number)[], options: ChildOptions = {}): Child {
  return new Child('taskset', ['-c', `${core}`, command, ...args.map(String)], options);
}

/** Moves all threads of a running process to one core. */
export async function pin(core: number, pid: number): Promise<void> {
  await promisify(execFile)('taskset', ['-a', '-c', '-p', `${core}`, `${pid}`]);
}
