import type { ChannelLayer } from '../layer.ts';
import { NAMES, type NameRule } from '../names.ts';

const LETTERS_AND_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** The rule that names follow on this layer. */
export function ruleOf(layer: ChannelLayer): NameRule {
  return layer.capabilities.names ?? NAMES;
}

/** The rule of the design, said once more in another way. */
export function allows({ maxLength, marks }: NameRule, name: string): boolean {
  if (name.length < 1 || name.length > maxLength) return false;
  const characters = `${LETTERS_AND_DIGITS}${marks}`;
  return name.split('.').every((level) => level.length > 0 && Array.from(level).every((character) => characters.includes(character)));
}

/** Those of the names that this layer allows, where each need not be one of them. */
export function allowed(layer: ChannelLayer, names: readonly string[]): string[] {
  return names.filter((name) => allows(ruleOf(layer), name));
}
