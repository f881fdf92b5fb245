import { type Document, isScalar, parseDocument, visit } from 'yaml';
import { isKey, KEYS } from './keys.ts';
import { hint } from './nearest.ts';
import type { SettingKey } from './schema.ts';
import type { Said, Source } from './source.ts';

/** Keys with dots stand in maps, one for each dot: `drain: {notice: 5s}`; `drain.notice: 5s` says the same. */
const GROUPS: ReadonlySet<string> = new Set(KEYS.flatMap((key) => [...key.matchAll(/\./g)].map(({ index }) => key.slice(0, index))));

/** What a YAML file says. `name` is the file's, for errors. */
export function readYaml(content: string, name: string): Source {
  const said = new Map<SettingKey, Said>();
  const faults: string[] = [];
  const root = parseYaml(content, name, faults);
  if (faults.length > 0) return { said, faults, unreadable: true };
  for (const [path, raw] of flatten(root, name, faults)) {
    const where = `${name}: ${path}`;
    if (!isKey(path)) faults.push(`${where} is not a setting${hint(path, [...KEYS, ...GROUPS])}`);
    else if (said.has(path)) faults.push(`${where} is said twice`);
    else said.set(path, { raw, where });
  }
  return { said, faults };
}

/** A structured value in a variable or a flag; undefined, and a fault, where it is no YAML. */
export function parseYaml(content: string, where: string, faults: string[]): unknown {
  const document = parseDocument(content, { prettyErrors: true, merge: true });
  const problems = [...document.errors, ...document.warnings];
  for (const problem of problems) {
    // The message goes on with the line itself, which may hold a secret.
    faults.push(`${where} is not YAML: ${problem.message.split('\n', 1)[0]?.replace(/:$/, '') ?? ''}`);
  }
  if (problems.length > 0) return undefined;
  if (hasOddKey(document)) {
    // As a text it would be shown, with what it holds.
    faults.push(`${where} is not YAML of settings: a key must be a text, and one is a map or a list`);
    return undefined;
  }
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    faults.push(`${where} is not YAML: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function hasOddKey(document: Document): boolean {
  let isOdd = false;
  visit(document, {
    Pair: (_, { key }) => {
      isOdd ||= !isScalar(key);
      return isOdd ? visit.BREAK : undefined;
    },
  });
  return isOdd;
}

function flatten(root: unknown, name: string, faults: string[]): [string, unknown][] {
  if (root === undefined || root === null) return [];
  if (!isMap(root)) {
    faults.push(`${name} must be a map of settings, such as "layer: redis://redis:6379"`);
    return [];
  }
  return Object.entries(root).flatMap(([key, value]) => leavesOf(key, value, name, faults));
}

/** What stands at `path`, or below it where maps do. */
function leavesOf(path: string, value: unknown, name: string, faults: string[]): [string, unknown][] {
  if (!GROUPS.has(path)) return [[path, value]];
  if (isMap(value)) return Object.entries(value).flatMap(([inner, raw]) => leavesOf(`${path}.${inner}`, raw, name, faults));
  const below = KEYS.filter((known) => known.startsWith(`${path}.`)).map((known) => known.slice(path.length + 1));
  faults.push(`${name}: ${path} must be a map of ${below.join(', ')}`);
  return [];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
