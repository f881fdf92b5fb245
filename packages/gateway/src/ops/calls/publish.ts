import { Buffer } from 'node:buffer';
import { isName } from '@busgate/layer';
import { publishFailure, type PublishFailureKey } from '../../layer-errors.ts';
import type { Log } from '../../log.ts';
import { isReserved } from '../../reserved.ts';
import { payloadOf } from '../../routes/multiplex/parse.ts';
import { isPublishId } from '../../routes/publish-id.ts';
import type { ApiCall, ApiRequest } from '../api.ts';
import { OpsError } from '../errors.ts';
import { readObject } from '../json.ts';

const MOST_ROOMS = 1000;

interface OpsPublishOptions {
  readonly id: string | undefined;
  /** Of the trace that the operator wants followed, into every room of the call. */
  readonly traceparent: string | undefined;
}

export interface Publishing {
  /** Rejects with a LayerError. */
  readonly publish: (room: string, payload: Uint8Array, options: OpsPublishOptions) => Promise<{ readonly position?: string }>;
  /** Bytes of one payload. */
  readonly message: number;
  readonly log: Pick<Log, 'error'>;
}

type Result = { readonly room: string; readonly position?: string } | { readonly room: string; readonly error: PublishFailureKey | 'not_allowed' };

/** `POST /api/publish`: one payload to a room, or to many, each of which has a result of its own. */
export function publishCall({ publish, message, log }: Publishing): ApiCall {
  const one = async (room: string, payload: Uint8Array, options: OpsPublishOptions): Promise<Result> => {
    if (!isName(room)) return { room, error: 'bad_room' };
    if (isReserved(room)) return { room, error: 'not_allowed' };
    try {
      return { room, ...(await publish(room, payload, options)) };
    } catch (error) {
      const key = publishFailure(error);
      if (key === 'internal') log.error('an operator’s message could not be published', { error: String(error) });
      return { room, error: key };
    }
  };
  return {
    method: 'POST',
    path: '/api/publish',
    async serve({ body, traceparent }: ApiRequest) {
      const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
      const members = readObject(text);
      const rooms = roomsIn(members);
      const payload = payloadOf(members, text);
      const { id } = members;
      if (payload === undefined || (id !== undefined && !isPublishId(id))) throw new OpsError('bad_request');
      if (payload.length > message) throw new OpsError('body_too_large');
      return { results: await Promise.all(rooms.map((room) => one(room, payload, { id, traceparent }))) };
    },
  };
}

/** Either `room` or `rooms`. */
function roomsIn({ room, rooms }: Readonly<Record<string, unknown>>): readonly string[] {
  if (typeof room === 'string' && rooms === undefined) return [room];
  const isList = Array.isArray(rooms) && rooms.length > 0 && rooms.length <= MOST_ROOMS && rooms.every((one) => typeof one === 'string');
  if (room !== undefined || !isList) throw new OpsError('bad_request');
  return rooms;
}
