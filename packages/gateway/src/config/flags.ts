import { parseArgs } from 'node:util';
import { readText } from './environment.ts';
import { shown } from './faults.ts';
import { hint } from './nearest.ts';
import { DOCUMENTED, flagOf, KEYS } from './keys.ts';
import type { SettingKey } from './schema.ts';
import type { Said, Source } from './source.ts';

/** Flags by name without dashes; true for those that stand alone. */
export type FlagNames = Readonly<Record<string, boolean>>;

export interface ReadFlags {
  /** The last value of each flag; true for one that stands alone. */
  readonly values: ReadonlyMap<string, string | true>;
  readonly words: readonly string[];
  readonly faults: readonly string[];
}

/** Reads a command line: `--name value`, `--name=value`, and words. What follows `--` is words. */
export function readFlags(argv: readonly string[], names: FlagNames): ReadFlags {
  const options = Object.fromEntries(Object.entries(names).map(([name, alone]) => [name, { type: alone ? ('boolean' as const) : ('string' as const) }]));
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const values = new Map<string, string | true>();
  const words: string[] = [];
  const faults: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const alone = Object.hasOwn(names, token.name) ? names[token.name] : undefined;
    if (alone === undefined || !token.rawName.startsWith('--')) faults.push(unknownFlag(token.rawName, names));
    else if (!alone && token.value === undefined) faults.push(`${token.rawName} needs a value`);
    else values.set(token.name, token.value ?? true);
  }
  return { values, words, faults };
}

/** The flags of `serve`: one a key, and `--config`. */
const SERVE_FLAGS: FlagNames = {
  config: false,
  ...Object.fromEntries(KEYS.map((key) => [flagOf(key).slice(2), DOCUMENTED[key].type.placeholder === undefined])),
};

/** What the flags of `serve` say, and the file they name. */
export function readServeFlags(argv: readonly string[]): Source & { readonly file: string | undefined } {
  const { values, words, faults } = readFlags(argv, SERVE_FLAGS);
  // A word after a flag that is not known is that flag's value.
  const found = faults.length > 0 ? [...faults] : words.map(unknownWord);
  const said = new Map<SettingKey, Said>();
  for (const key of KEYS) {
    const value = values.get(flagOf(key).slice(2));
    if (value !== undefined) said.set(key, { raw: value === true ? value : readText(key, value, flagOf(key), found), where: flagOf(key) });
  }
  const file = values.get('config');
  return { said, faults: found, file: file === true ? undefined : file };
}

function unknownWord(word: string): string {
  return `serve takes no argument ${shown(word, true)}; settings are flags, such as --port 8081`;
}

function unknownFlag(written: string, names: FlagNames): string {
  const flags = Object.keys(names).map((name) => `--${name}`);
  return `the flag ${shown(written, false)} is unknown${hint(written, flags)}`;
}
