import { isName } from './names.ts';

/** Which rooms keep a history, and how much of it. */
export interface HistoryRule {
  /** Levels between dots; `*` stands for one level, `>` at the end for all that follow (one at least). */
  readonly rooms: string;
  /** Messages kept, 1 to 1 000 000. */
  readonly size: number;
  /** How long a message is kept, in milliseconds. */
  readonly ageMs: number;
}

/** Whether `pattern` covers `room`: literal levels, `*` for one, a final `>` for one or more. */
export function matchesRooms(pattern: string, room: string): boolean {
  const wanted = pattern.split('.');
  const levels = room.split('.');
  for (const [index, level] of wanted.entries()) {
    if (level === '>') return levels.length > index;
    if (index >= levels.length || (level !== '*' && level !== levels[index])) return false;
  }
  return levels.length === wanted.length;
}

/** The first rule that covers `room`. */
export function historyRule(rules: readonly HistoryRule[], room: string): HistoryRule | undefined {
  return rules.find((rule) => matchesRooms(rule.rooms, room));
}

/** What is wrong with a rule, in words; undefined where nothing is. */
export function faultOfRule(rule: HistoryRule): string | undefined {
  if (typeof rule !== 'object' || rule === null) return `a rule must be {rooms, size, ageMs}, not ${String(rule)}`;
  const levels = typeof rule.rooms === 'string' ? rule.rooms.split('.') : [''];
  const plain = levels.map((level, index) => (level === '*' || (level === '>' && index === levels.length - 1) ? 'x' : level)).join('.');
  if (!isName(plain)) return `rooms must be a room name in which a level may be * and the last one >, not ${JSON.stringify(rule.rooms)}`;
  if (!Number.isSafeInteger(rule.size) || rule.size < 1 || rule.size > 1_000_000) return `size must be 1 to 1000000 messages, not ${rule.size}`;
  if (!Number.isSafeInteger(rule.ageMs) || rule.ageMs < 1) return `ageMs must be a whole number of milliseconds above 0, not ${rule.ageMs}`;
  return undefined;
}
