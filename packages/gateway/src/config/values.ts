import type { SettingKey, Settings } from './schema.ts';

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Head<K> = K extends `${infer First}.${string}` ? First : K;

/** The settings as a tree: one level for each dot in a key. */
type Tree<S> = {
  readonly [H in Head<keyof S & string> as Camel<H>]: H extends keyof S
    ? S[H]
    : Tree<{ [K in keyof S as K extends `${H}.${infer Rest}` ? Rest : never]: S[K] }>;
};

/** What is in force: `config.limits.outboxTotal` is the setting `limits.outbox_total`. Sizes are in bytes, durations in milliseconds. Frozen. */
export type Config = Tree<Settings>;

/** A tree of any depth, whose leaves are looked at by nobody here. */
interface Branch {
  [name: string]: unknown;
}

/** Builds the tree out of what each key holds. */
export function nest(values: readonly (readonly [SettingKey, unknown])[]): Config {
  const config: Branch = {};
  const branches: unknown[] = [config];
  for (const [key, value] of values) {
    const levels = levelsOf(key);
    const name = levels.pop() ?? key;
    let branch = config;
    for (const level of levels) {
      if (branch[level] === undefined) branches.push((branch[level] = {}));
      branch = branch[level] as Branch;
    }
    branch[name] = Object.freeze(value);
  }
  for (const branch of branches) Object.freeze(branch);
  return config as Config;
}

/** The value of a key. */
export function valueOf(config: Partial<Config>, key: SettingKey): unknown {
  return levelsOf(key).reduce<unknown>((branch, level) => (branch as Branch | undefined)?.[level], config);
}

function levelsOf(key: SettingKey): string[] {
  return key.split('.').map(camel);
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
