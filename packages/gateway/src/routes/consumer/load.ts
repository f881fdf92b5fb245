import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { asRouter, type Router } from '@busgate/consumer/run';
import { ConfigError } from '../../config/faults.ts';

/** The package that modules are made with. */
const CONSUMER = fileURLToPath(import.meta.resolve('@busgate/consumer'));
/** Node may take so long to say where a file cannot be parsed, in milliseconds. */
const PARSE_MS = 10_000;

interface Exported {
  readonly default?: unknown;
}

/**
 * Loads the consumers that a module exports as its default. `module` is shown as it is.
 * @throws ConfigError with the file and the line, where the module cannot be loaded or exports nothing of use
 */
export async function loadConsumers(module: string): Promise<Router> {
  const file = resolve(module);
  if (!existsSync(file)) throw new ConfigError([`${module} cannot be loaded: there is no such file`]);
  if (statSync(file).isDirectory()) throw new ConfigError([`${module} cannot be loaded: it is a folder, and the file in it must be named`]);
  let exported: Exported;
  try {
    exported = await importToItsEnd(file);
  } catch (error) {
    throw new ConfigError([`${module} cannot be loaded: ${reasonOf(error, file)}`]);
  }
  const router = asRouter(exported.default);
  if (router !== undefined) return router;
  const instead = 'default' in exported ? `something else (${placeOfDefault(file)})` : `no default (${file})`;
  throw new ConfigError([
    `${module} must export as its default a Consumer class, or what consumer(), handlers(), http() or router() made, of the @busgate/consumer that this gateway has (${CONSUMER}); it exports ${instead}`,
  ]);
}

/** What it waits for at its top level may never come: where nothing else keeps the process, Node would end it without a word of the module. */
async function importToItsEnd(file: string): Promise<Exported> {
  const stuck = Promise.withResolvers<never>();
  const end = (): void => stuck.reject('what it awaits at its top level never comes');
  process.once('beforeExit', end);
  try {
    return await Promise.race([import(pathToFileURL(file).href) as Promise<Exported>, stuck.promise]);
  } finally {
    process.off('beforeExit', end);
  }
}

/** What each of these modules exports, by its name; each is loaded once. */
export async function loadAll(modules: readonly string[]): Promise<ReadonlyMap<string, Router>> {
  const loaded = new Map<string, Router>();
  for (const module of modules) if (!loaded.has(module)) loaded.set(module, await loadConsumers(module));
  return loaded;
}

/** What went wrong, and where. */
function reasonOf(error: unknown, file: string): string {
  if (!(error instanceof Error)) return `${String(error)} (${file})`;
  const place = placeIn(error.stack ?? '') ?? (error instanceof SyntaxError ? placeOfSyntax(file) : placeOfImport(error)) ?? file;
  return error.message.includes(place) ? error.message : `${error.message} (${place})`;
}

/** The first place in an error's words that is in code which is neither Node's own nor that of the package of consumers, whose checks speak of who called them. */
function placeIn(stack: string): string | undefined {
  const line = stack.split('\n').find((one) => !one.includes('node:') && !one.includes(dirname(CONSUMER)) && /\/[^\s()]+:\d+/.test(one));
  return /(?:file:\/\/)?(\/[^\s()]+:\d+(?::\d+)?)/.exec(line ?? '')?.[1];
}

/** V8 does not tell a module's loader where it could not parse; Node tells whoever starts it. Nothing is run: the same module does not parse again. */
function placeOfSyntax(file: string): string | undefined {
  const importing = `import ${JSON.stringify(pathToFileURL(file).href)}`;
  const { stderr } = spawnSync(process.execPath, [...process.execArgv, '--input-type=module', '--eval', importing], { encoding: 'utf8', timeout: PARSE_MS });
  return placeIn(stderr);
}

/** "Cannot find … imported from FILE": the line there that names it. */
function placeOfImport({ message }: Error): string | undefined {
  const [, missing, from] = /^Cannot find (?:module|package) '(.+)' imported from (\/.+)$/.exec(message) ?? [];
  if (missing === undefined || from === undefined || !existsSync(from)) return undefined;
  const lines = readFileSync(from, 'utf8').split('\n');
  const index = lines.findIndex((line) => line.includes(basename(missing)));
  return index === -1 ? undefined : `${from}:${index + 1}`;
}

/** The line at which it exports its default, where that can be seen. */
function placeOfDefault(file: string): string {
  const lines = readFileSync(file, 'utf8').split('\n');
  const index = lines.findIndex((line) => /\bexport\s+default\b|\bas\s+default\b|\bmodule\.exports\b/.test(line));
  return index === -1 ? file : `${file}:${index + 1}`;
}
