import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { asRouter, type Router } from '@busgate/consumer/run';
import { ConfigError } from '../../config/faults.ts';

/** Node may take so long to say where a file cannot be parsed, in milliseconds. */
const PARSE_MS = 10_000;

/**
 * Loads the consumers that a module exports as its default. `module` is shown as it is.
 * @throws ConfigError with the file and the line, where the module cannot be loaded or exports nothing of use
 */
export async function loadConsumers(module: string): Promise<Router> {
  const file = resolve(module);
  if (!existsSync(file)) throw new ConfigError([`${module} cannot be loaded: there is no such file`]);
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(pathToFileURL(file).href)) as typeof exported;
  } catch (error) {
    throw new ConfigError([`${module} cannot be loaded: ${reasonOf(error, file)}`]);
  }
  const router = asRouter(exported.default);
  if (router !== undefined) return router;
  throw new ConfigError([
    `${module} must export as its default a Consumer class, or what consumer(), handlers(), http() or router() made, of the @busgate/consumer that this gateway has (${fileURLToPath(import.meta.resolve('@busgate/consumer'))})`,
  ]);
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

/** The first place in an error's words that is in code which is not Node's own. */
function placeIn(stack: string): string | undefined {
  const line = stack.split('\n').find((one) => !one.includes('node:') && /\/[^\s()]+:\d+/.test(one));
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
