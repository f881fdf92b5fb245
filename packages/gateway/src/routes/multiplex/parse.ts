import { isName, parsePosition } from '@busgate/layer';
import { MAX_DEPTH } from '../../content.ts';
import type { FrameErrorKey } from '../../errors.ts';
import { isPublishId } from '../publish-id.ts';
import { MAX_LAST } from '../standing.ts';
import { isDeeperThan, sourceOf, withoutLoneSurrogates } from './source.ts';

/** What the client wants an answer to be found by; it comes back as it was. */
export type Ref = string | number;

export type ClientFrame =
  | { readonly type: 'join'; readonly room: string; readonly since: string | undefined; readonly last: number | undefined; readonly ref: Ref | undefined }
  | { readonly type: 'leave'; readonly room: string; readonly ref: Ref | undefined }
  | {
      readonly type: 'publish';
      readonly room: string;
      readonly payload: Buffer;
      readonly id: string | undefined;
      readonly traceparent: string | undefined;
      readonly ref: Ref | undefined;
    }
  | { readonly type: 'token'; readonly token: string; readonly ref: Ref | undefined }
  | { readonly type: 'ping' };

export interface FrameFault {
  readonly type: 'fault';
  readonly code: FrameErrorKey;
  readonly ref: Ref | undefined;
}

type Members = Readonly<Record<string, unknown>>;

const CONTENTS = ['data', 'text', 'base64'] as const;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads a frame of a client, or tells what is wrong with it. `maxPayload` in bytes. */
export function parseFrame(json: string, maxPayload: number): ClientFrame | FrameFault {
  const value = parseJson(json);
  if (value === undefined) return fault('bad_json', undefined);
  if (!isObject(value)) return fault('bad_frame', undefined);
  const { ref, type } = value;
  if (ref !== undefined && !isRef(ref)) return fault('bad_frame', undefined);
  if (typeof type !== 'string') return fault('bad_frame', ref);
  switch (type) {
    case 'ping':
      return { type };
    case 'token':
      return typeof value['token'] === 'string' ? { type, token: value['token'], ref } : fault('bad_frame', ref);
    case 'join':
    case 'leave':
    case 'publish':
      return parseRoomFrame(type, value, ref, json, maxPayload);
    default:
      return fault('unknown_type', ref);
  }
}

function parseRoomFrame(
  type: 'join' | 'leave' | 'publish',
  members: Members,
  ref: Ref | undefined,
  json: string,
  maxPayload: number,
): ClientFrame | FrameFault {
  const { room } = members;
  if (typeof room !== 'string') return fault('bad_frame', ref);
  if (!isName(room)) return fault('bad_room', ref);
  if (type === 'leave') return { type, room, ref };
  if (type === 'join') return parseJoin(room, members, ref);
  const { id, traceparent } = members;
  const payload = payloadOf(members, json);
  if (payload === undefined || (id !== undefined && !isPublishId(id))) return fault('bad_frame', ref);
  return payload.length > maxPayload
    ? fault('too_large', ref)
    : { type, room, ref, payload, id, traceparent: typeof traceparent === 'string' ? traceparent : undefined };
}

function parseJoin(room: string, { since, last }: Members, ref: Ref | undefined): ClientFrame | FrameFault {
  if (since !== undefined && (typeof since !== 'string' || parsePosition(since) === undefined)) return fault('bad_position', ref);
  if (last !== undefined && !(typeof last === 'number' && Number.isInteger(last) && last >= 0)) return fault('bad_frame', ref);
  return { type: 'join', room, ref, since, last: last === undefined ? undefined : Math.min(last, MAX_LAST) };
}

/** Exactly one of `data` (its JSON text as it was sent), `text` and `base64`; undefined where it is not so. `json` is what the members were parsed of. */
export function payloadOf(members: Members, json: string): Buffer | undefined {
  const [content, ...others] = CONTENTS.filter((name) => Object.hasOwn(members, name));
  if (content === undefined || others.length > 0) return undefined;
  const value = members[content];
  if (content === 'data') return Buffer.from(withoutLoneSurrogates(sourceOf(json, content) ?? ''));
  if (typeof value !== 'string') return undefined;
  if (content === 'text') return Buffer.from(value);
  return BASE64.test(value) ? Buffer.from(value, 'base64') : undefined;
}

/** The depth is looked at first: what holds `data` is one level more than `data`. */
function parseJson(json: string): unknown {
  if (isDeeperThan(json, MAX_DEPTH + 1)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Integers beyond 2^53 would come back as another one. */
function isRef(value: unknown): value is Ref {
  if (typeof value === 'number') return Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value));
  return typeof value === 'string';
}

function fault(code: FrameErrorKey, ref: Ref | undefined): FrameFault {
  return { type: 'fault', code, ref };
}
