import { isName } from '@busgate/layer';
import { closeOf } from '../../errors.ts';
import type { FleetCalls, SessionFacts, SessionsAsked } from '../../fleet/calls.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import { CLOSE_CODE } from '../written.ts';
import type { ApiCall } from '../api.ts';
import { OpsError } from '../errors.ts';
import { limitOf, readCursor, writeCursor } from '../paging.ts';

export type AskableFleet = Pick<Fleet, 'ask' | 'gateways'>;

/** `GET /api/sessions`, and `GET` and `DELETE /api/sessions/<id>`, at whatever gateway of the fleet they are. */
export function sessionsCalls(fleet: AskableFleet): ApiCall[] {
  return [
    {
      method: 'GET',
      path: '/api/sessions',
      serve: async ({ query }) => await list(fleet, meantBy(query), limitOf(query), query),
    },
    {
      method: 'GET',
      path: '/api/sessions/:session',
      async serve({ params: { session = '' } }) {
        const facts = await askOwner(fleet, 'session', session, { session });
        if (facts === null) throw new OpsError('no_session');
        return facts;
      },
    },
    {
      method: 'DELETE',
      path: '/api/sessions/:session',
      async serve({ params: { session = '' }, query }) {
        const code = codeOf(query.get('code'));
        if (!(await askOwner(fleet, 'close', session, { session, code }))) throw new OpsError('no_session');
        return { id: session, code };
      },
    },
  ];
}

function meantBy(query: URLSearchParams): SessionsAsked {
  const said = ['user', 'address', 'room'].flatMap((name) => {
    const value = query.get(name);
    return value === null ? [] : [[name, value]];
  });
  const asked = Object.fromEntries(said) as SessionsAsked;
  if (asked.room !== undefined && !isName(asked.room)) throw new OpsError('bad_room');
  return asked;
}

/**
 * A page: gateways by name, and of each its sessions, the oldest first. First all are asked how many they have, so that only those tell theirs whose sessions are on
 * the page: what others would have said for nothing costs the broker as much.
 */
async function list(fleet: AskableFleet, meant: SessionsAsked, limit: number, query: URLSearchParams): Promise<object> {
  const [from = '', serial = 0] = (readCursor(query, ['string', 'number']) ?? []) as [string?, number?];
  const askedOf = (gateway: string): SessionsAsked => (gateway === from && serial > 0 ? { ...meant, after: serial } : meant);
  const gateways = fleet.gateways.filter((gateway) => gateway >= from);
  const counted = await fleet.ask('count', new Map(gateways.map((gateway) => [gateway, askedOf(gateway)])));
  const { shares, rest } = share(counted.answers, limit);
  const told = await fleet.ask('sessions', new Map([...shares].map(([gateway, count]) => [gateway, { ...askedOf(gateway), limit: count }])));
  const missing = [...counted.missing, ...told.missing].toSorted();
  return { ...pageOf(told.answers, rest), missing };
}

/** How many of each gateway's are on the page, and at which gateway the next one begins, if any does. */
function share(counts: ReadonlyMap<string, number>, limit: number): { shares: Map<string, number>; rest: string | undefined } {
  const shares = new Map<string, number>();
  let left = limit;
  for (const [gateway, count] of counts) {
    if (count === 0) continue;
    if (left === 0) return { shares, rest: gateway };
    shares.set(gateway, Math.min(left, count));
    left -= Math.min(left, count);
  }
  return { shares, rest: undefined };
}

/** Where one gateway has more than it was asked for, or could say, the page ends there. */
function pageOf(answers: ReadonlyMap<string, FleetCalls['sessions']['answer']>, rest: string | undefined): { sessions: SessionFacts[]; cursor?: string } {
  const sessions: SessionFacts[] = [];
  for (const [gateway, part] of answers) {
    sessions.push(...part.sessions);
    if (part.next !== undefined) return { sessions, cursor: writeCursor([gateway, part.next]) };
  }
  return { sessions, ...(rest === undefined ? {} : { cursor: writeCursor([rest, 0]) }) };
}

/** Asks the gateway whose session it is, which its id says. Rejects with `no_session` where there is none of that id, `no_gateway` where it does not answer. */
export async function askOwner<C extends 'session' | 'close'>(
  fleet: AskableFleet,
  call: C,
  session: string,
  asked: FleetCalls[C]['asked'],
): Promise<FleetCalls[C]['answer']> {
  const gateway = session.slice(0, session.indexOf('-'));
  if (!fleet.gateways.includes(gateway)) throw new OpsError('no_session');
  const { answers } = await fleet.ask(call, new Map([[gateway, asked]]));
  const answer = answers.get(gateway);
  if (answer === undefined) throw new OpsError('no_gateway');
  return answer;
}

function codeOf(written: string | null): number {
  if (written === null) return closeOf('drained').code;
  const code = CLOSE_CODE.read(written);
  if (code === undefined) throw new OpsError('bad_request');
  return code;
}
