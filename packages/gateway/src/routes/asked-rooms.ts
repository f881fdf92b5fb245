import { isName, parsePosition } from '@busgate/layer';
import type { HttpErrorKey } from '../errors.ts';
import { parseCursor } from '../hub/cursor.ts';
import type { RouteRequest } from './request.ts';
import { lastOf, MAX_LAST, NOWHERE, positionOf, type ClientStanding, standingOf } from './standing.ts';

/** Rooms that a request without a body may name. */
const MAX_ROOMS = 50;

/** Which rooms a request is about. */
export interface AskedRooms {
  /** None of them twice. */
  readonly rooms: readonly string[];
  /** Where its client stands in a room; undefined where it has no place there. */
  readonly sinceOf: (room: string) => string | undefined;
  /** Of rooms in which it has no place: how many of the newest messages it wants. */
  readonly last: number | undefined;
}

type SinceOf = AskedRooms['sinceOf'];
type HistoryRequest = NonNullable<RouteRequest['asked']>;
export type AskFault = Extract<HttpErrorKey, 'bad_room' | 'bad_position' | 'bad_request' | 'target_too_long' | 'body_too_large'>;

const NO_PLACE: SinceOf = () => undefined;
/** Of another server, or of a later version: nobody here can tell what it has. */
const LOST: SinceOf = () => NOWHERE;

/** The one room of a path, `?since=<position>` or `?last=<n>`. */
export function askedRoom(room: string, request: RouteRequest): AskedRooms | AskFault {
  const standing = positionOf(standingOf(request));
  const last = lastOf(request);
  if (standing === 'bad_position') return standing;
  return last === 'bad_request' ? last : { rooms: [room], sinceOf: () => standing.since, last };
}

/** `?rooms=a&rooms=b&since=<cursor>`, or `&last=<n>`; or, by POST, `{"rooms":["a","b"],"since":…,"last":n}`, where `since` may be an object of room to position too. */
export function askedRooms(request: RouteRequest, maxRooms: number): AskedRooms | AskFault {
  return request.asked === undefined ? ofQuery(request) : ofBody(request, request.asked, maxRooms);
}

function ofQuery(request: RouteRequest): AskedRooms | AskFault {
  const rooms = request.queryString === '' ? [] : [...new Set(request.query.getAll('rooms'))];
  if (rooms.length > MAX_ROOMS) return 'target_too_long';
  if (!rooms.every((room) => isName(room))) return 'bad_room';
  const standing = standingOf(request);
  const sinceOf = standing === undefined ? NO_PLACE : placesOf(standing);
  if (sinceOf === undefined) return 'bad_position';
  const last = lastOf(request);
  return last === 'bad_request' ? last : { rooms, sinceOf, last };
}

function ofBody(request: RouteRequest, { rooms: named, since, last }: HistoryRequest, maxRooms: number): AskedRooms | AskFault {
  if (!Array.isArray(named)) return 'bad_request';
  const rooms = [...new Set<unknown>(named)];
  if (rooms.length > maxRooms) return 'body_too_large';
  if (!rooms.every((room) => isName(room))) return 'bad_room';
  if (last !== undefined && !(Number.isInteger(last) && Number(last) >= 0)) return 'bad_request';
  const standing = standingOf(request);
  const sinceOf = standing?.byItself === true ? placesOf(standing) : placesOfMember(since);
  return sinceOf === undefined ? 'bad_position' : { rooms, sinceOf, last: last === undefined ? undefined : Math.min(Number(last), MAX_LAST) };
}

/** A cursor, or an object of room to position; undefined for what no gateway has written. */
function placesOfMember(since: unknown): SinceOf | undefined {
  if (since === undefined) return NO_PLACE;
  if (typeof since === 'string') return placesOf({ text: since, byItself: false });
  if (typeof since !== 'object' || since === null || Array.isArray(since)) return undefined;
  const positions = new Map<string, unknown>(Object.entries(since));
  const areAll = [...positions.values()].every((position) => parsePosition(position) !== undefined);
  return areAll ? (room) => positions.get(room) as string | undefined : undefined;
}

/** Reads a cursor; undefined for what no gateway has written, unless the client brought it back by itself. */
function placesOf({ text, byItself }: ClientStanding): SinceOf | undefined {
  const positions = parseCursor(text);
  if (positions === undefined && !byItself) return undefined;
  return positions === undefined || positions === 'newer' ? LOST : (room) => positions.get(room);
}
