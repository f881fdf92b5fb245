import { Buffer } from 'node:buffer';
import type { Value } from '@busgate/layer';
import type { ForwardedEvent } from './event.ts';
import type { Answered } from '../outgoing.ts';
import { isPassing } from './retries.ts';

/** Why an event was not handled by its backend: a closed list, the values of a metric's label. */
export const FORWARD_FAILURES = ['unreachable', 'timeout', 'status', 'bad_answer', 'too_large', 'bad_event', 'layer'] as const;

export type ForwardFailure = (typeof FORWARD_FAILURES)[number];

type Replies = readonly Value[];

/** What an answer means: replies, or a failure that may pass or will not. */
export type AnswerVerdict =
  | { readonly replies: Replies; readonly failure?: never }
  | { readonly failure: ForwardFailure; readonly passes: boolean; readonly replies?: never };

const CONNECT = 'websocket.connect';
const REQUEST = 'http.request';
const RETRY_AFTER_SECONDS = 5;
/** Bytes of a body in one reply: in base64 they are two thirds of what a message may have. */
const PIECE = 524_288;
/** A connection's own, and the gateway's to write (RFC 9110 section 7.6.1). */
const NOT_PASSED = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a client waits for the answer to this event: it is told at once rather than after another attempt. */
export function isAwaited({ type }: ForwardedEvent): boolean {
  return type === CONNECT || type === REQUEST;
}

export function judge(event: ForwardedEvent, posted: Answered): AnswerVerdict {
  if (posted.failure !== undefined) return { failure: posted.failure, passes: posted.failure !== 'too_large' };
  const { status, body } = posted;
  if (status === 204) return { replies: [] };
  if (status === 200) {
    const replies = readReplies(body);
    return replies === undefined ? { failure: 'bad_answer', passes: false } : { replies };
  }
  if (isAwaited(event) && status >= 400 && status < 500) return { replies: answerWith(event, status, passed(posted.headers), body) };
  return { failure: 'status', passes: isPassing(status) };
}

/** What the session is told where its backend did not handle the event: the client is refused with 503, or closed with 1011; who has left is told nothing. */
export function givenUp(event: ForwardedEvent): Replies {
  if (isAwaited(event)) {
    const headers = [
      ['content-type', 'application/json'],
      ['retry-after', String(RETRY_AFTER_SECONDS)],
    ] as const;
    return answerWith(event, 503, headers, Buffer.from('{"error":"no_worker","message":"the backend did not answer as it must"}'));
  }
  return event.type === 'websocket.receive' ? [{ type: 'websocket.close', code: 1011, reason: 'the backend did not answer as it must' }] : [];
}

/** The event is handled. */
export function done({ order }: ForwardedEvent): Replies {
  return order === null ? [] : [{ type: 'done', order }];
}

/** In as many replies as the layer's messages need. */
function answerWith({ type }: ForwardedEvent, status: number, headers: readonly (readonly [string, string])[], body: Uint8Array): Replies {
  const prefix = type === REQUEST ? 'http.response' : 'websocket.http.response';
  const replies: Value[] = [{ type: `${prefix}.start`, status, headers }];
  let at = 0;
  for (; body.length - at > PIECE; at += PIECE) replies.push({ type: `${prefix}.body`, body: body.subarray(at, at + PIECE), more_body: true });
  return [...replies, { type: `${prefix}.body`, body: body.subarray(at) }];
}

function passed(headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return headers.filter(([name]) => !NOT_PASSED.has(name) && !name.startsWith('sec-websocket-'));
}

/** `{"replies":[…]}`; undefined for anything else. */
function readReplies(body: Buffer): Replies | undefined {
  try {
    const { replies } = JSON.parse(body.toString(), reviveBytes) as { replies?: unknown };
    return Array.isArray(replies) ? (replies as Replies) : undefined;
  } catch {
    return undefined;
  }
}

/** The layer takes bytes as bytes, and writes them as `{"$bytes":"<base64>"}` itself. */
function reviveBytes(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { $bytes: encoded, ...others } = value as Record<string, unknown>;
  return typeof encoded === 'string' && Object.keys(others).length === 0 ? new Uint8Array(Buffer.from(encoded, 'base64')) : value;
}
