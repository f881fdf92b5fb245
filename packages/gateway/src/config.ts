import { dirname } from 'node:path';
import { inconsistencies } from './config/consistency.ts';
import { type Environment, FILE_VARIABLE, readEnvironment } from './config/environment.ts';
import { ConfigError, sentence } from './config/faults.ts';
import { readYaml } from './config/file.ts';
import { readServeFlags } from './config/flags.ts';
import { DOCUMENTED, KEYS } from './config/keys.ts';
import { type SettingKey, type SettingsSchema, schema, type Setting } from './config/schema.ts';
import type { Source } from './config/source.ts';
import { type Config, nest } from './config/values.ts';

export type { Config } from './config/values.ts';

export interface ConfigInput {
  /** The flags, without node, script and command. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Reads a file that a flag or a variable names. */
  readonly readFile: (path: string) => string;
  /** How many descriptors this process may open. */
  readonly descriptors: number;
}

/**
 * Reads the configuration: the file, over it the environment, over that the flags.
 * @throws ConfigError with every fault there is
 */
export function loadConfig(input: ConfigInput): Config {
  const { config, faults, unsaid } = read(input);
  if (faults.length > 0 || unsaid.length > 0) throw new ConfigError([...faults, ...unsaid]);
  return config;
}

/**
 * Reads the configuration to be shown: what must still be said before a gateway starts is missing in it, and told.
 * @throws ConfigError with everything that is wrong
 */
export function inspectConfig(input: ConfigInput): { readonly config: Partial<Config>; readonly unsaid: readonly string[] } {
  const { config, faults, unsaid } = read(input);
  if (faults.length > 0) throw new ConfigError(faults);
  return { config, unsaid };
}

/** Only where nothing is wrong or unsaid does the configuration hold everything. */
function read(input: ConfigInput): { config: Config; faults: string[]; unsaid: string[] } {
  const flags = readServeFlags(input.argv);
  const path = flags.file ?? input.env[FILE_VARIABLE];
  const file = readConfigFile(path, input);
  const sources: Source[] = [flags, readEnvironment(input.env, input.readFile), file];
  const faults = sources.flatMap((source) => source.faults);

  // Where demo cannot be read nothing starts: what follows from it need not be told too.
  const demo = resolve('demo', DOCUMENTED.demo, sources, []) ?? true;
  const settings = schema({ demo, descriptors: input.descriptors, readFile: input.readFile, directory: dirname(path ?? '') });
  const values = KEYS.map((key) => [key, resolve<unknown>(key, settings[key], sources, faults)] as const);
  const config = nest(values);
  const unread = values.flatMap(([key, value]) => (value === undefined && sources.some(({ said }) => said.has(key)) ? key : []));
  faults.push(...inconsistencies(config, new Set(unread)));
  return { config, faults, unsaid: file.unreadable === true ? [] : unsaidIn(settings, sources) };
}

function readConfigFile(path: string | undefined, input: ConfigInput): Source {
  if (path === undefined || path === '') return { said: new Map(), faults: [] };
  try {
    return readYaml(input.readFile(path), path);
  } catch (error) {
    return { unreadable: true, said: new Map(), faults: [`the file of settings cannot be read: ${error instanceof Error ? error.message : String(error)}`] };
  }
}

/** The value in force: what the first source that speaks of it says, else the preset. What lower sources say is checked all the same. */
function resolve<T>(key: SettingKey, setting: Setting<T>, sources: readonly Source[], faults: string[]): T | undefined {
  const read = sources.flatMap((source) => {
    const said = source.said.get(key);
    if (said === undefined) return [];
    return [setting.type.read(said.raw, (fault) => faults.push(sentence(said.where, fault, setting.secret === true)))];
  });
  if (read.length > 0) return read[0];
  return setting.preset === undefined ? undefined : setting.type.read(setting.preset, (fault) => faults.push(sentence(key, fault, setting.secret === true)));
}

/** Settings that have no preset and of which no source speaks. */
function unsaidIn(settings: SettingsSchema, sources: readonly Source[]): string[] {
  const missing = KEYS.filter((key) => {
    const setting: Setting<unknown> = settings[key];
    return setting.preset === undefined && setting.optional !== true && !sources.some(({ said }) => said.has(key));
  });
  return missing.map((key) => `${key} must be said: ${settings[key].type.allowed}; or start with --demo, which opens every room to everybody`);
}
