import { OWNER } from './room-pattern.ts';

/** The pattern of the rooms that both patterns match; undefined where there are none. */
export function meet(a: string, b: string): string | undefined {
  const [levels, others] = [a.split('.'), b.split('.')];
  const met: string[] = [];
  for (let at = 0; at < Math.max(levels.length, others.length); at += 1) {
    const [level, other] = [levels[at], others[at]];
    if (level === undefined || other === undefined) return undefined;
    if (level === '>') return [...met, ...others.slice(at)].join('.');
    if (other === '>') return [...met, ...levels.slice(at)].join('.');
    const both = meetLevels(level, other);
    if (both === undefined) return undefined;
    met.push(both);
  }
  return met.join('.');
}

function meetLevels(a: string, b: string): string | undefined {
  if (a === b || b === '*') return a;
  if (a === '*' || a === OWNER) return b;
  return b === OWNER ? a : undefined;
}
