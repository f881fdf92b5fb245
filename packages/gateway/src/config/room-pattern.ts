import { isName } from '@busgate/layer';
import { text } from './types.ts';

/** Stands for one level of a room's name: the rooms that it covers are those of the user whose name that level is. */
export const OWNER = '{sub}';

/** The name of a room in which a level may stand for all others, and the last one for all that follow. */
export const ROOMS = text('a room name in which a level may be * and the last one >, such as chat.>', 'PATTERN', isRoomPattern);

/** The same, in which a level may be that of one user. */
export const OWNED_ROOMS = text(
  'a room name in which a level may be *, or {sub} for the user whose room it is, and the last one >, such as user.{sub}.>',
  'PATTERN',
  (value) => isRoomPattern(withoutOwner(value)),
);

/** Whether it is a room's name in which a level may be `*` and the last one `>`. */
export function isRoomPattern(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const levels = value.split('.');
  return isName(levels.map((level, index) => (level === '*' || (level === '>' && index === levels.length - 1) ? 'x' : level)).join('.'));
}

/** A pattern of whoever's rooms. */
export function withoutOwner(pattern: string): string {
  return pattern
    .split('.')
    .map((level) => (level === OWNER ? '*' : level))
    .join('.');
}
