import { parseYaml } from './file.ts';
import { DOCUMENTED, KEYS, variableOf } from './keys.ts';
import { hint } from './nearest.ts';
import type { Key } from './schema.ts';
import type { Said, Source } from './source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'BUSGATE_';
/** Names the file of settings. */
export const FILE_VARIABLE = 'BUSGATE_CONFIG';

const BY_VARIABLE: ReadonlyMap<string, Key> = new Map(KEYS.map((key) => [variableOf(key), key]));

/** What the `BUSGATE_*` variables say. One that is empty says nothing. */
export function readEnvironment(environment: Environment): Source {
  const said = new Map<Key, Said>();
  const faults: string[] = [];
  const services = serviceLinks(environment);
  for (const [name, raw] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || name === FILE_VARIABLE || raw === undefined || raw === '') continue;
    if (services.some((service) => isServiceLink(service, name, raw))) continue;
    const key = BY_VARIABLE.get(name);
    if (key === undefined) faults.push(`the variable ${name} is not a setting${hint(name, [...BY_VARIABLE.keys()])}`);
    else said.set(key, { raw: readText(key, raw, name, faults), where: name });
  }
  return { said, faults };
}

/** A list may be written as YAML in one line. */
export function readText(key: Key, raw: string, where: string, faults: string[]): unknown {
  return DOCUMENTED[key].type.name === 'list' && /^\s*[[{]/.test(raw) ? parseYaml(raw, where, faults) : raw;
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
