import type { Key, Settings } from './schema.ts';

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Group<S extends string> = S extends `${infer Head}.${string}` ? Head : never;

/** What is in force: `config.limits.outboxTotal` is the setting `limits.outbox_total`. Sizes are in bytes, durations in milliseconds. Frozen. */
export type Config = {
  readonly [K in Key as K extends `${string}.${string}` ? never : Camel<K>]: Settings[K];
} & {
  readonly [G in Group<Key>]: { readonly [K in Key as K extends `${G}.${infer Rest}` ? Camel<Rest> : never]: Settings[K] };
};

/** Builds the tree out of what each key holds. */
export function nest(values: readonly (readonly [Key, unknown])[]): Config {
  const config: Record<string, unknown> = {};
  for (const [key, value] of values) {
    const [head = key, rest] = key.split('.');
    if (rest === undefined) config[camel(head)] = value;
    else config[head] = { ...(config[head] as object | undefined), [camel(rest)]: value };
  }
  for (const value of Object.values(config)) Object.freeze(value);
  return Object.freeze(config) as Config;
}

/** The value of a key. */
export function valueOf(config: Partial<Config>, key: Key): unknown {
  const [head = key, rest] = key.split('.');
  const value = (config as Record<string, unknown>)[camel(head)];
  return rest === undefined ? value : (value as Record<string, unknown> | undefined)?.[camel(rest)];
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
