import { matchesRooms } from '@busgate/layer';
import { ACCESS, type Access } from './access.ts';
import { complete, MemberReader, readItems } from './members.ts';
import { OWNED_ROOMS, OWNER, withoutOwner } from './room-pattern.ts';
import { oneOf, type Report, text, type ValueType } from './types.ts';

/** What holds for the rooms that a pattern covers, whatever route they are reached by. */
export interface RoomRule {
  /** Levels between dots; `*` and `{sub}` stand for one level, `>` at the end for all that follow (one at least). */
  readonly rooms: string;
  /** The same for {@link matchesRooms}, whoever's rooms they are. */
  readonly pattern: string;
  /** Which levels are the name of the only user who has these rooms. */
  readonly owned: readonly number[];
  /** Who may do it at the most; undefined: as the route says. */
  readonly join: Access | undefined;
  readonly publish: Access | undefined;
  /**
   * What becomes of a reader that cannot keep up. `close`: its session ends with 1013. `newest`: what comes is dropped; `oldest`: what has waited the longest;
   * `latest`: what a later message replaces, so that the last one is kept. Left out: `close`.
   */
  readonly slow?: 'close' | 'newest' | 'oldest' | 'latest';
  /** The member of a message by which `latest` keeps several apart. Left out: it keeps one. */
  readonly key?: string;
}

const EXAMPLE = '[{rooms: "user.{sub}.>", join: user}]';
const ALLOWED = `a list of rules, such as ${EXAMPLE}`;
const MEMBERS = ['rooms', 'join', 'publish', 'slow', 'key'];
const SLOW = oneOf('close', 'newest', 'oldest', 'latest');
const KEY = text('the name of a member of JSON messages', 'NAME', (value) => value !== '');

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
  write: (value) =>
    value.map(({ rooms, join, publish, slow, key }) => ({
      rooms,
      ...(join && { join }),
      ...(publish && { publish }),
      ...(slow && { slow }),
      ...(key && { key }),
    })),
};

/** The rule that holds for a room. */
export function ruleFor(rules: readonly RoomRule[], room: string): RoomRule | undefined {
  return rules.find(({ pattern }) => matchesRooms(pattern, room));
}

function readRule(raw: unknown, report: Report): RoomRule | undefined {
  const members = MemberReader.of(raw, `a rule, such as ${EXAMPLE.slice(1, -1)}`, report);
  if (members === undefined) return undefined;
  members.refuseOthers('a rule', MEMBERS);
  const said = complete({
    rooms: members.take('rooms', OWNED_ROOMS),
    ...(members.has('join') && { join: members.take('join', ACCESS) }),
    ...(members.has('publish') && { publish: members.take('publish', ACCESS) }),
    ...(members.has('slow') && { slow: members.take('slow', SLOW) }),
    ...(members.has('key') && { key: members.take('key', KEY) }),
  });
  if (members.has('key') && said !== undefined && said.slow !== 'latest') members.refuse('key', 'left out, unless slow is latest');
  return said === undefined ? undefined : { join: undefined, publish: undefined, ...said, ...partsOf(said.rooms) };
}

function partsOf(rooms: string): Pick<RoomRule, 'pattern' | 'owned'> {
  const owned = rooms.split('.').flatMap((level, index) => (level === OWNER ? [index] : []));
  return { pattern: withoutOwner(rooms), owned };
}
