import { type Config, type ConfigInput, loadConfig } from '../config.ts';

/** All that a configuration was read from, to be read again in another process: the same, whatever happens to the files meanwhile. */
export interface ReadSettings {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path and content of each file that was read. They may hold secrets. */
  readonly files: readonly (readonly [path: string, content: string])[];
  readonly descriptors: number;
}

/**
 * Reads the configuration, and keeps what it was read from.
 * @throws ConfigError with every fault there is
 */
export function captureSettings(input: ConfigInput): { readonly config: Config; readonly settings: ReadSettings } {
  const files: [string, string][] = [];
  const readFile = (path: string): string => {
    const content = input.readFile(path);
    files.push([path, content]);
    return content;
  };
  const config = loadConfig({ ...input, readFile });
  return { config, settings: { argv: input.argv, env: { ...input.env }, files, descriptors: input.descriptors } };
}

/** The configuration that these settings are. */
export function configOf({ argv, env, files, descriptors }: ReadSettings): Config {
  const contents = new Map(files);
  return loadConfig({
    argv,
    env,
    descriptors,
    readFile: (path) => {
      const content = contents.get(path);
      if (content === undefined) throw new Error(`${path} was not read before`);
      return content;
    },
  });
}
