import { parsePosition } from '@busgate/layer';
import { numberIn } from './number-in.ts';
import type { RouteRequest } from './request.ts';

/** A place that no history has: whoever stands there is told a gap. */
export const NOWHERE = '';

/** Where a client says that it stands: what it brings back by itself goes before what its page says, and may be of another server. */
export interface ClientStanding {
  readonly text: string;
  readonly byItself: boolean;
}

export function standingOf({ headers, queryString, query }: RouteRequest): ClientStanding | undefined {
  const id = headers['last-event-id'];
  if (typeof id === 'string' && id !== '') return { text: id, byItself: true };
  if (queryString === '') return undefined;
  const text = query.get('since');
  return text === null ? undefined : { text, byItself: false };
}

/** As a position, {@link NOWHERE} where it is none of ours and that is not the client's fault; `bad_position` where it is. */
export function positionOf(standing: ClientStanding | undefined): { readonly since: string | undefined } | 'bad_position' {
  if (standing === undefined || parsePosition(standing.text) !== undefined) return { since: standing?.text };
  return standing.byItself ? { since: NOWHERE } : 'bad_position';
}

/** Of the newest messages of a room that a client may ask for; more is cut to it. */
export const MAX_LAST = 1000;

/** How many of the newest messages a request asks for, with `?last=n`: where it says where its client stood, that goes before. */
export function lastOf({ queryString, query }: RouteRequest): number | undefined | 'bad_request' {
  const text = queryString === '' ? null : query.get('last');
  if (text === null) return undefined;
  const last = numberIn(text);
  return last >= 0 && last === Math.floor(last) ? Math.min(last, MAX_LAST) : 'bad_request';
}
