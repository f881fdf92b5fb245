import { execFile } from 'node:child_process';
import { join } from 'node:path';

export const ROOT: string = join(import.meta.dirname, '../../..');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface CommandOptions {
  readonly cwd?: string;
  /** Beside the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a command said and how it ended; rejects only where it cannot be started. */
export function outcomeOf(command: string, args: readonly string[], { cwd = ROOT, env = {} }: CommandOptions = {}): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const child = execFile(command, args, { cwd, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
    if (error !== null && typeof error.code === 'string') reject(error);
    else resolve({ code: child.exitCode, stdout, stderr });
  });
  child.stdin?.end();
  return promise;
}

/** What a command printed; rejects with all it said where it does not exit with 0. */
export async function outputOf(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await outcomeOf(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}
