import { ConfigError } from '../../src/config/faults.ts';
import { type Config, loadConfig } from '../../src/config.ts';

/** Where settings come from, by the name of what they are in. */
interface Given {
  argv?: readonly string[];
  env?: Record<string, string>;
  files?: Record<string, string>;
  descriptors?: number;
}

export function load({ argv = ['--demo'], env = {}, files = {}, descriptors = 20_000 }: Given = {}): Config {
  return loadConfig({ argv, env, descriptors, readFile: (path) => readFrom(files, path) });
}

function readFrom(files: Record<string, string>, path: string): string {
  const content = files[path];
  if (content === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
  return content;
}

/** What is wrong with them. */
export function faultsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}
