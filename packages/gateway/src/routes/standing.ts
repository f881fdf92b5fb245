import { parsePosition } from '@busgate/layer';
import type { RouteRequest } from './request.ts';

/** A place that no history has: whoever stands there is told a gap. */
export const NOWHERE = '';

/** Where a client says that it stands: what it brings back by itself goes before what its page says, and may be of another server. */
export interface Standing {
  readonly text: string;
  readonly byItself: boolean;
}

export function standingOf({ headers, queryString, query }: RouteRequest): Standing | undefined {
  const id = headers['last-event-id'];
  if (typeof id === 'string' && id !== '') return { text: id, byItself: true };
  if (queryString === '') return undefined;
  const text = query.get('since');
  return text === null ? undefined : { text, byItself: false };
}

/** As a position, {@link NOWHERE} where it is none of ours and that is not the client's fault; `bad_position` where it is. */
export function positionOf(standing: Standing | undefined): { readonly since: string | undefined } | 'bad_position' {
  if (standing === undefined || parsePosition(standing.text) !== undefined) return { since: standing?.text };
  return standing.byItself ? { since: NOWHERE } : 'bad_position';
}
