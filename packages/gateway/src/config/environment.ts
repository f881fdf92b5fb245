import { parseYaml } from './file.ts';
import { DOCUMENTED, KEYS, variableOf } from './keys.ts';
import { hint } from './nearest.ts';
import type { SettingKey } from './schema.ts';
import type { Said, Source } from './source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'BUSGATE_';
const STRUCTURED: ReadonlySet<string> = new Set(['list', 'map']);
/** Names the file of settings. */
export const FILE_VARIABLE = 'BUSGATE_CONFIG';

const BY_VARIABLE: ReadonlyMap<string, SettingKey> = new Map(KEYS.map((key) => [variableOf(key), key]));

/** Secrets by file: `BUSGATE_LAYER_FILE` names a file that holds what `BUSGATE_LAYER` would say. */
const BY_FILE_VARIABLE: ReadonlyMap<string, SettingKey> = new Map(
  KEYS.filter((key) => DOCUMENTED[key].secret === true).map((key) => [`${variableOf(key)}_FILE`, key]),
);

/** What the `BUSGATE_*` variables say. One that is empty says nothing. */
export function readEnvironment(environment: Environment, readFile: (path: string) => string): Source {
  const said = new Map<SettingKey, Said>();
  const faults: string[] = [];
  const services = serviceLinks(environment);
  for (const [name, raw] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || name === FILE_VARIABLE || raw === undefined || raw === '') continue;
    if (services.some((service) => isServiceLink(service, name, raw))) continue;
    const key = BY_VARIABLE.get(name);
    const fileKey = BY_FILE_VARIABLE.get(name);
    if (key !== undefined) said.set(key, { raw: readText(key, raw, name, faults), where: name });
    else if (fileKey === undefined) faults.push(`the variable ${name} is not a setting${hint(name, [...BY_VARIABLE.keys()])}`);
    else if ((environment[variableOf(fileKey)] ?? '') !== '') faults.push(`${name} and ${variableOf(fileKey)} are both said; say one of them`);
    else readSecret(fileKey, name, raw, readFile, said, faults);
  }
  return { said, faults };
}

/** The file's content is never shown. */
function readSecret(key: SettingKey, name: string, path: string, readFile: (path: string) => string, said: Map<SettingKey, Said>, faults: string[]): void {
  try {
    const value = readFile(path).replace(/\r?\n$/, '');
    if (value === '') faults.push(`${name} names ${path}, which is empty`);
    else said.set(key, { raw: value, where: `the file of ${name}` });
  } catch (error) {
    faults.push(`${name} names a file that cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A list or a map may be written as YAML in one line. */
export function readText(key: SettingKey, raw: string, where: string, faults: string[]): unknown {
  return STRUCTURED.has(DOCUMENTED[key].type.name) && /^\s*[[{]/.test(raw) ? parseYaml(raw, where, faults) : raw;
}

/** Kubernetes gives every container such variables for each service of its namespace: `BUSGATE_PORT=tcp://…` where one is called `busgate`. */
function serviceLinks(environment: Environment): string[] {
  return Object.keys(environment).flatMap((name) => (/^BUSGATE_(?:.*_)?SERVICE_HOST$/.test(name) ? [name.slice(0, -'SERVICE_HOST'.length)] : []));
}

function isServiceLink(service: string, name: string, value: string): boolean {
  if (!name.startsWith(service)) return false;
  const rest = name.slice(service.length);
  return /^SERVICE_(?:HOST|PORT(?:_.*)?)$/.test(rest) || /^PORT_\d+_(?:TCP|UDP|SCTP)(?:_.*)?$/.test(rest) || (rest === 'PORT' && value.includes('://'));
}
