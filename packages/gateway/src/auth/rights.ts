import { matchesRooms } from '@busgate/layer';
import { type Access, type RightName, stricter } from '../config/access.ts';
import { type RoomRule, ruleFor } from '../config/room-rules.ts';
import type { Refused } from '../errors.ts';
import { type Identity, isUnknown } from '../identity.ts';
import { isReserved } from '../reserved.ts';

/** Longer names of rooms would make an answer longer than it may be. */
const MAX_NAMED = 120;

/** What clients may do on one route, and in which rooms: the strictest of what the route and the first rule that covers a room say. */
export class Rights {
  readonly join: Right;
  readonly publish: Right;

  constructor(route: Readonly<Record<RightName, Access>>, rules: readonly RoomRule[]) {
    this.join = new Right('join', route.join, rules);
    this.publish = new Right('publish', route.publish, rules);
  }
}

/** One thing that clients do with rooms. */
class Right {
  readonly #name: RightName;
  readonly #access: Access;
  readonly #rules: readonly RoomRule[];

  constructor(name: RightName, access: Access, rules: readonly RoomRule[]) {
    this.#name = name;
    this.#access = access;
    this.#rules = rules;
  }

  /** Whether this client may, in this room. Rooms of Busgate's own are nobody's. */
  allows(room: string, identity: Identity): boolean {
    if (isReserved(room)) return false;
    const rule = this.#ruleOf(room);
    return this.#holds(this.#accessBy(rule), room, identity) && (rule === undefined || owns(identity.user, rule, room));
  }

  /** Why this client may not; undefined where it may. One that nobody knows is asked who it is, where that could change it. */
  denial(room: string, identity: Identity): Refused | undefined {
    if (this.allows(room, identity)) return undefined;
    if (isUnknown(identity) && this.#asksWho(room)) return 'unauthorized';
    const named = room.length <= MAX_NAMED ? room : 'this room';
    return { key: 'not_allowed', message: `${this.#name === 'join' ? 'joining' : 'publishing to'} ${named} is not allowed` };
  }

  #asksWho(room: string): boolean {
    const access = this.#accessBy(this.#ruleOf(room));
    return !isReserved(room) && (access === 'user' || access === 'token');
  }

  #ruleOf(room: string): RoomRule | undefined {
    return this.#rules.length === 0 ? undefined : ruleFor(this.#rules, room);
  }

  #accessBy(rule: RoomRule | undefined): Access {
    return rule === undefined ? this.#access : stricter(this.#access, accessOf(rule, this.#name));
  }

  #holds(access: Access, room: string, identity: Identity): boolean {
    switch (access) {
      case 'anyone':
        return true;
      case 'nobody':
        return false;
      case 'user':
        return identity.user !== undefined;
      case 'token':
        return identity[this.#name].some((pattern) => matchesRooms(pattern, room));
    }
  }
}

/** What a rule says; what is somebody's own is never for anyone. */
export function accessOf(rule: RoomRule, right: RightName): Access {
  const access = rule[right] ?? 'anyone';
  return rule.owned.length === 0 ? access : stricter(access, 'user');
}

/** A name that is not one level of a room's is like no level: `a` does not own what is below `a.b`. */
function owns(user: string | undefined, { owned }: RoomRule, room: string): boolean {
  if (owned.length === 0) return true;
  const levels = room.split('.');
  return user !== undefined && owned.every((index) => levels[index] === user);
}
