import { type Access, type RightName, stricter } from '../config/access.ts';
import { type RoomRule, ruleFor } from '../config/room-rules.ts';
import { isReserved } from '../reserved.ts';

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

  /** Whether clients may, in this room. Rooms of Busgate's own are nobody's. */
  allows(room: string): boolean {
    return !isReserved(room) && this.#accessTo(room) === 'anyone';
  }

  #accessTo(room: string): Access {
    const said = this.#rules.length === 0 ? undefined : ruleFor(this.#rules, room)?.[this.#name];
    return said === undefined ? this.#access : stricter(this.#access, said);
  }
}
