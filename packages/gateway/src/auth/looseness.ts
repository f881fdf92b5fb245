import { type Access, isLooser, RIGHTS, type RightName, stricter } from '../config/access.ts';
import type { RoomRule } from '../config/room-rules.ts';
import type { RouteConfig } from '../config/route-settings.ts';
import { accessOf } from './rights.ts';

/** A client may do on one route what it may not do on another one with the same rooms. */
export interface Looseness {
  readonly right: RightName;
  /** The looser route, and the stricter one. */
  readonly route: string;
  readonly than: string;
  /** A pattern of the rooms. */
  readonly rooms: string;
}

type GuardedRoute = Extract<RouteConfig, { join: Access }>;

/** Every pair of routes of which one is looser, with the first rooms of which that holds. */
export function looserRoutes(routes: readonly RouteConfig[], rules: readonly RoomRule[]): readonly Looseness[] {
  const named = routes.filter((route): route is GuardedRoute => 'join' in route);
  return RIGHTS.flatMap((right) => named.flatMap((route) => named.flatMap((than) => looser(right, route, than, rules) ?? [])));
}

function looser(right: RightName, route: GuardedRoute, than: GuardedRoute, rules: readonly RoomRule[]): Looseness | undefined {
  const found = kindsOfRooms(rules, right).find(({ access }) => isLooser(stricter(route[right], access), stricter(than[right], access)));
  return found === undefined ? undefined : { right, route: route.path.text, than: than.path.text, rooms: found.rooms };
}

/** The rooms of each rule, as far as rules before it leave any, and all others. */
function kindsOfRooms(rules: readonly RoomRule[], right: RightName): readonly { readonly rooms: string; readonly access: Access }[] {
  const kinds = rules.map((rule) => ({ rooms: rule.rooms, access: accessOf(rule, right) }));
  const all = rules.findIndex(({ pattern }) => pattern === '>');
  return all === -1 ? [...kinds, { rooms: '>', access: 'anyone' }] : kinds.slice(0, all + 1);
}
