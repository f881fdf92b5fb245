import type { Finding } from '@busgate/layer';
import { escapeUnsafe } from '../escape.ts';

export type { Finding };

export function ok(what: string): Finding {
  return { state: 'ok', what };
}

/** `advice`: what to type. */
export function fix(what: string, advice: string): Finding {
  return { state: 'fix', what, advice };
}

export function unknown(what: string, advice: string): Finding {
  return { state: 'unknown', what, advice };
}

/** One line: `ok`, `fix` and what to type, or `unknown` and why. */
export function lineOf({ state, what, advice }: Finding): string {
  return `${escapeUnsafe(`${state.padEnd(7)} ${what}${advice === undefined ? '' : ` -> ${advice}`}`)}\n`;
}
