import { isName } from '@busgate/layer';
import { parseCursor } from '../../hub/cursor.ts';
import type { RouteRequest } from '../request.ts';
import { lastOf, NOWHERE, type Standing, standingOf } from '../standing.ts';
import type { Join } from './conversation.ts';

/** Rooms that a request without a body may name. */
const MAX_ROOMS = 50;

/** Which rooms a session is to be in from its beginning, as its request says: `?rooms=a&rooms=b&since=<cursor>`, or `&last=<n>`. */
export function askedRooms(request: RouteRequest): readonly Join[] | 'bad_room' | 'bad_position' | 'bad_request' | 'target_too_long' {
  if (request.queryString === '') return [];
  const rooms = [...new Set(request.query.getAll('rooms'))];
  if (rooms.length > MAX_ROOMS) return 'target_too_long';
  if (!rooms.every((room) => isName(room))) return 'bad_room';
  const sinceOf = placesOf(standingOf(request));
  const last = lastOf(request);
  if (last === 'bad_request') return last;
  return sinceOf === undefined ? 'bad_position' : rooms.map((room) => ({ type: 'join', room, since: sinceOf(room), last, ref: undefined }));
}

/** Where the client stands in a room; undefined for what no gateway has written, unless the client brought it back by itself. */
function placesOf(standing: Standing | undefined): ((room: string) => string | undefined) | undefined {
  if (standing === undefined) return () => undefined;
  const positions = parseCursor(standing.text);
  if (positions === undefined && !standing.byItself) return undefined;
  // Of another server, or of a later version: nobody here can tell what it has.
  return positions === undefined || positions === 'newer' ? () => NOWHERE : (room) => positions.get(room);
}
