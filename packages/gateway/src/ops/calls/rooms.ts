import { isName, parsePosition } from '@busgate/layer';
import { isRoomPattern } from '../../config/room-pattern.ts';
import type { FleetCalls, RoomFacts } from '../../fleet/calls.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import type { ApiCall } from '../api.ts';
import { OpsError } from '../errors.ts';
import { limitOf, readCursor, writeCursor } from '../paging.ts';

export interface RoomsContext {
  readonly fleet: Pick<Fleet, 'askAll'>;
  /** Which gateway answers. */
  readonly process: string;
  /** Where a room stands whose history the broker keeps; undefined where it keeps none, or cannot be asked. */
  readonly standing: (room: string) => Promise<string | undefined>;
}

/** `GET /api/rooms` and `GET /api/rooms/<room>`: rooms of the whole fleet. */
export function roomsCalls({ fleet, process, standing }: RoomsContext): ApiCall[] {
  return [
    {
      method: 'GET',
      path: '/api/rooms',
      async serve({ query }) {
        const limit = limitOf(query);
        const [after] = (readCursor(query, ['string']) ?? []) as string[];
        const match = query.get('match') ?? undefined;
        if (match !== undefined && !isRoomPattern(match)) throw new OpsError('bad_request');
        const asked = { limit, ...(after === undefined ? {} : { after }), ...(match === undefined ? {} : { match }) };
        const { answers, missing } = await fleet.askAll('rooms', asked);
        return { ...pageOf(answers, limit, process), missing };
      },
    },
    {
      method: 'GET',
      path: '/api/rooms/:room',
      async serve({ params: { room = '' } }) {
        if (!isName(room)) throw new OpsError('bad_room');
        const [{ answers, missing }, position] = await Promise.all([fleet.askAll('room', { room }), standing(room)]);
        const gateways = [...answers].flatMap(([gateway, { members, subscribed_at: subscribedAt }]) =>
          subscribedAt === null && members === 0 ? [] : [{ gateway, members, subscribed_at: subscribedAt }],
        );
        return { ...together(room, answers, process), ...(position === undefined ? {} : { position }), gateways, missing };
      },
    },
  ];
}

/** The rooms of all gateways by name, as far as all of them have told theirs. */
function pageOf(answers: ReadonlyMap<string, FleetCalls['rooms']['answer']>, limit: number, process: string): object {
  const ends = [...answers.values()].flatMap(({ rooms, more }) => (more ? [rooms.at(-1)?.room ?? ''] : []));
  const end = ends.toSorted(byName)[0];
  const byRoom = new Map<string, Map<string, RoomFacts>>();
  for (const [gateway, { rooms }] of answers) {
    for (const { room, ...facts } of rooms) {
      if (end !== undefined && room > end) break;
      const known = byRoom.get(room) ?? new Map<string, RoomFacts>();
      byRoom.set(room, known.set(gateway, facts));
    }
  }
  const names = [...byRoom.keys()].toSorted(byName);
  const rooms = names.slice(0, limit).map((room) => together(room, byRoom.get(room) ?? new Map<string, RoomFacts>(), process));
  const last = names[limit - 1] ?? end;
  return { rooms, ...(last !== undefined && (end !== undefined || names.length > limit) ? { cursor: writeCursor([last]) } : {}) };
}

/** What the gateways say of one room. */
function together(room: string, facts: ReadonlyMap<string, RoomFacts>, process: string): object {
  const all = [...facts.values()];
  const drops: Record<string, number> = {};
  for (const one of all) for (const [reason, count] of Object.entries(one.drops)) drops[reason] = (drops[reason] ?? 0) + count;
  return {
    room,
    members: { process: facts.get(process)?.members ?? 0, fleet: all.reduce((sum, { members }) => sum + members, 0) },
    subscribed_at: all.flatMap(({ subscribed_at: at }) => at ?? []).toSorted()[0] ?? null,
    position: newestOf(all.flatMap(({ position }) => position ?? [])),
    drops,
  };
}

/** The furthest position; of two epochs nobody can tell which is the later. */
function newestOf(positions: readonly string[]): string | null {
  const [first, ...others] = positions;
  return first === undefined ? null : others.reduce((newest, position) => (offsetOf(position) > offsetOf(newest) ? position : newest), first);
}

function offsetOf(position: string): number {
  return parsePosition(position)?.offset ?? 0;
}

function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
