import { type ChannelLayer, type HistoryReading, isName, parsePosition } from '@busgate/layer';
import { publishFailure } from '../../layer-errors.ts';
import { messageText } from '../../routes/multiplex/encoding.ts';
import type { ApiCall } from '../api.ts';
import { OpsError } from '../errors.ts';
import { rawJson } from '../raw-json.ts';
import { limitOf } from '../paging.ts';

/** `GET` and `DELETE /api/rooms/<room>/history`. The cursor of a page is the position of its last message; without one the newest messages are given. */
export function historyCalls(layer: Pick<ChannelLayer, 'history' | 'purge'>): ApiCall[] {
  return [
    {
      method: 'GET',
      path: '/api/rooms/:room/history',
      async serve({ params: { room = '' }, query }) {
        const limit = limitOf(query);
        const since = query.get('cursor') ?? query.get('since') ?? undefined;
        if (!isName(room)) throw new OpsError('bad_room');
        if (since !== undefined && parsePosition(since) === undefined) throw new OpsError('bad_position');
        return pageOf(room, await orRefused(() => layer.history(room, since, since === undefined ? { limit, last: limit } : { limit })));
      },
    },
    {
      method: 'DELETE',
      path: '/api/rooms/:room/history',
      async serve({ params: { room = '' } }) {
        if (!isName(room)) throw new OpsError('bad_room');
        await orRefused(() => layer.purge(room));
        return { room, purged: true };
      },
    },
  ];
}

/** Messages are the frames of a multiplex route. */
function pageOf(room: string, { messages, position, recovered, more }: HistoryReading): ReturnType<typeof rawJson> {
  const frames = messages.map((message) => messageText(room, message)).join(',');
  const rest = { position, ...(recovered === undefined ? {} : { recovered }), ...(more ? { cursor: position } : {}) };
  return rawJson(`{"room":${JSON.stringify(room)},"messages":[${frames}],${JSON.stringify(rest).slice(1)}`);
}

async function orRefused<T>(attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    const key = publishFailure(error);
    throw key === 'too_large' || key === 'internal' ? error : new OpsError(key);
  }
}
