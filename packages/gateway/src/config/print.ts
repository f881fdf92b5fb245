import { stringify } from 'yaml';
import { DOCUMENTED, KEYS } from './keys.ts';
import { maskUrl } from './layer-url.ts';
import type { Setting } from './schema.ts';
import { type Config, valueOf } from './values.ts';

/** What is in force, as a file that would say it, with secrets masked. */
export function printConfig(config: Partial<Config>): string {
  const tree: Record<string, unknown> = {};
  for (const key of KEYS) {
    const setting: Setting<unknown> = DOCUMENTED[key];
    const value = valueOf(config, key);
    if (value === undefined || value === null) continue;
    const written = setting.type.write(value);
    put(tree, key, setting.secret === true ? maskUrl(String(written)) : written);
  }
  return stringify(tree, { lineWidth: 0, aliasDuplicateObjects: false });
}

function put(tree: Record<string, unknown>, key: string, value: unknown): void {
  const levels = key.split('.');
  const name = levels.pop() ?? key;
  let branch = tree;
  for (const level of levels) branch = (branch[level] ??= {}) as Record<string, unknown>;
  branch[name] = value;
}
