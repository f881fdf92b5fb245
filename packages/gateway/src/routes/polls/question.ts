import { type AskedRooms, type AskFault, askedRoom, askedRooms } from '../asked-rooms.ts';
import { numberIn } from '../number-in.ts';
import type { RouteRequest } from '../request.ts';

/** Messages of an answer. */
const MAX_LIMIT = 1000;
/** Seconds. */
const MAX_POLL = 60;

/** What is asked of the histories of rooms. */
export interface HistoryQuestion extends AskedRooms {
  /** Whether the answer says of each message which room it is of, and its cursor is one of many rooms. */
  readonly isOfMany: boolean;
  /** Messages at most. */
  readonly limit: number;
  /** Seconds that the answer may wait for the first message. */
  readonly poll: number;
}

/** Of the room of a path. */
export function questionOfRoom(room: string, request: RouteRequest): HistoryQuestion | AskFault {
  return bounded(askedRoom(room, request), false, request);
}

/** Of the rooms that the request names: one at least. */
export function questionOfRooms(request: RouteRequest, maxRooms: number): HistoryQuestion | AskFault {
  const asked = askedRooms(request, maxRooms);
  return typeof asked !== 'string' && asked.rooms.length === 0 ? 'bad_room' : bounded(asked, true, request);
}

/** What is beyond its bounds is cut to them. HEAD opens nothing, so that it does not wait. */
function bounded(asked: AskedRooms | AskFault, isOfMany: boolean, request: RouteRequest): HistoryQuestion | AskFault {
  if (typeof asked === 'string') return asked;
  const limit = numberOf(request, 'limit') ?? MAX_LIMIT;
  const poll = numberOf(request, 'poll') ?? 0;
  if (Number.isNaN(limit) || Number.isNaN(poll)) return 'bad_request';
  return { ...asked, isOfMany, limit: cut(Math.floor(limit), 1, MAX_LIMIT), poll: request.method === 'HEAD' ? 0 : cut(poll, 0, MAX_POLL) };
}

function cut(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}

/** Not a number for what is none. */
function numberOf({ asked, query }: RouteRequest, name: 'limit' | 'poll'): number | undefined {
  if (asked !== undefined) return asked[name] === undefined || typeof asked[name] === 'number' ? asked[name] : Number.NaN;
  const text = query.get(name);
  return text === null ? undefined : numberIn(text);
}
