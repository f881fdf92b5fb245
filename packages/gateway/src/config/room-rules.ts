import { matchesRooms } from '@busgate/layer';
import { ACCESS, type Access } from './access.ts';
import { complete, Members, readItems } from './members.ts';
import { ROOMS } from './room-pattern.ts';
import type { Report, ValueType } from './types.ts';

/** What holds for the rooms that a pattern covers, whatever route they are reached by. */
export interface RoomRule {
  /** Levels between dots; `*` stands for one level, `>` at the end for all that follow (one at least). */
  readonly rooms: string;
  /** Who may do it at the most; undefined: as the route says. */
  readonly join: Access | undefined;
  readonly publish: Access | undefined;
}

const EXAMPLE = '[{rooms: "public.>", join: anyone, publish: nobody}]';
const ALLOWED = `a list of rules, such as ${EXAMPLE}`;
const MEMBERS = ['rooms', 'join', 'publish'];

/** Rules by room name; the first whose pattern covers a room holds for it, and no other one. */
export const roomRules: ValueType<readonly RoomRule[]> = {
  name: 'list',
  allowed: ALLOWED,
  placeholder: 'YAML',
  read(raw, report) {
    if (Array.isArray(raw)) return readItems(raw, readRule, report);
    report({ got: raw, must: ALLOWED });
    return undefined;
  },
  write: (value) => value.map(({ rooms, join, publish }) => ({ rooms, ...(join && { join }), ...(publish && { publish }) })),
};

/** The rule that holds for a room. */
export function ruleFor(rules: readonly RoomRule[], room: string): RoomRule | undefined {
  return rules.find(({ rooms }) => matchesRooms(rooms, room));
}

function readRule(raw: unknown, report: Report): RoomRule | undefined {
  const members = Members.of(raw, `a rule, such as ${EXAMPLE.slice(1, -1)}`, report);
  if (members === undefined) return undefined;
  members.refuseOthers('a rule', MEMBERS);
  const said = complete({
    rooms: members.take('rooms', ROOMS),
    ...(members.has('join') && { join: members.take('join', ACCESS) }),
    ...(members.has('publish') && { publish: members.take('publish', ACCESS) }),
  });
  return said === undefined ? undefined : { join: undefined, publish: undefined, ...said };
}
