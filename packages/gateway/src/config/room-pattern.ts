import { isName } from '@busgate/layer';
import { text } from './types.ts';

/** The name of a room in which a level may stand for all others, and the last one for all that follow. */
export const ROOMS = text('a room name in which a level may be * and the last one >, such as chat.>', 'PATTERN', isRoomPattern);

/** Whether it is one. */
export function isRoomPattern(value: string): boolean {
  const levels = value.split('.');
  return isName(levels.map((level, index) => (level === '*' || (level === '>' && index === levels.length - 1) ? 'x' : level)).join('.'));
}
