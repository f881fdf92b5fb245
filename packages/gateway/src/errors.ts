import { type Answer, jsonAnswer } from './answer.ts';

/** One way the gateway refuses or ends something. The key is API: it is the `error` of an HTTP body and the `code` of an error frame on `/socket`. */
interface ErrorRow {
  /** Status before the upgrade, and of every HTTP answer. */
  readonly status?: number;
  /** Close code after the upgrade (RFC 6455 section 7.4; 4000 to 4999 are ours and read like HTTP). */
  readonly close?: number;
  /** Whether `/socket` answers it in an error frame and stays open. */
  readonly frame?: true;
  /** Whether the same request may succeed later as it stands. */
  readonly retry: boolean;
  /** Headers that belong to the status. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For people, and not fixed. At most 123 bytes: it is the reason in a close frame too. */
  readonly message: string;
}

/** Every code, status and close code that a client can meet. */
const TABLE = {
  no_route: { status: 404, retry: false, message: 'no route has this path' },
  bad_request: { status: 400, retry: false, message: 'the request is malformed' },
  bad_key: { status: 400, retry: false, message: 'Sec-WebSocket-Key must be 16 bytes in base64' },
  bad_room: {
    status: 400,
    frame: true,
    retry: false,
    message: 'a room name is 1 to 200 of A-Z a-z 0-9 _ : @ - with single dots between levels',
  },
  bad_id: { status: 400, retry: false, message: 'Idempotency-Key must be 1 to 128 visible ASCII characters' },
  no_history: { status: 400, frame: true, retry: false, message: 'this room keeps no history: see the setting history' },
  no_session: { status: 404, retry: false, message: 'there is no such session: open a new one' },
  method: { status: 405, retry: false, message: 'this path does not take this method' },
  version: {
    status: 426,
    retry: false,
    headers: { 'Sec-WebSocket-Version': '13', Upgrade: 'websocket' },
    message: 'only version 13 of the WebSocket protocol is spoken here',
  },
  no_transport: { status: 426, retry: false, headers: { Upgrade: 'websocket' }, message: 'this path is for WebSockets: ask for an upgrade' },
  target_too_long: { status: 414, retry: false, message: 'the request target is longer than 2048 bytes' },
  headers_too_large: { status: 431, retry: false, message: 'the headers are more than 16 KiB or more than 1000' },
  timeout: { status: 408, retry: false, message: 'the request took too long to arrive' },
  body_too_large: { status: 413, retry: false, message: 'the body is larger than limits.message' },
  host: { status: 403, retry: false, message: 'this gateway does not answer to that host: a demo is for localhost' },
  origin: { status: 403, retry: false, message: 'pages of this origin may not connect: see the setting origins' },
  unauthorized: {
    status: 401,
    retry: false,
    headers: { 'WWW-Authenticate': 'Bearer realm="busgate"' },
    message: 'this is for those who are known: say who you are',
  },
  bad_token: {
    status: 401,
    frame: true,
    retry: false,
    headers: { 'WWW-Authenticate': 'Bearer realm="busgate", error="invalid_token"' },
    message: 'the token is not valid, or not any more',
  },
  auth_away: { status: 503, retry: true, message: 'nobody can tell just now who you are' },
  not_allowed: { status: 403, close: 4403, frame: true, retry: false, message: 'not allowed here' },
  rate: { status: 429, close: 4429, frame: true, retry: true, message: 'too many, or too many in a short time' },
  full: { status: 503, close: 1013, frame: true, retry: true, message: 'this gateway holds as much as it may' },
  draining: { status: 503, retry: true, message: 'this gateway is being stopped' },
  no_worker: { status: 503, retry: true, message: 'no worker takes this just now' },
  no_answer: { status: 504, retry: false, message: 'no worker answered in time' },
  away: { status: 503, frame: true, retry: true, message: 'the layer cannot be reached just now' },
  unknown: { status: 504, frame: true, retry: false, message: 'the layer did not answer: it may have been done or not' },

  bad_json: { frame: true, retry: false, message: 'a frame must be JSON, at most 32 levels deep' },
  bad_frame: { frame: true, retry: false, message: 'a frame is one JSON object; a member of it is missing or of the wrong kind' },
  unknown_type: { frame: true, retry: false, message: 'the type must be join, leave, publish, token or ping' },
  bad_position: { status: 400, frame: true, retry: false, message: 'since must be a position that the gateway gave' },
  not_joined: { frame: true, retry: false, message: 'this session is not in that room' },
  too_large: { close: 1009, frame: true, retry: false, message: 'the message is larger than allowed' },

  going_away: { close: 1001, retry: true, message: 'going away' },
  protocol: { close: 1002, retry: false, message: 'WebSocket protocol error' },
  wrong_kind: { close: 1003, retry: false, message: 'this route takes text frames only' },
  encoding: { close: 1007, retry: false, message: 'the text is not valid UTF-8' },
  too_many_errors: { close: 1008, retry: false, message: 'too many errors in a minute' },
  too_many_fragments: { close: 1008, retry: false, message: 'the message has too many fragments' },
  message_time: { close: 1008, retry: false, message: 'a message took too long to arrive' },
  internal: { status: 500, close: 1011, retry: true, message: 'an error of the gateway' },
  drained: { close: 1012, retry: true, message: 'this gateway is being stopped: connect again' },
  gap: { close: 1012, retry: true, message: 'messages may have been lost: connect again' },
  not_published: { close: 1013, retry: true, message: 'a message was not published, or nobody can tell whether it was' },
  slow: { close: 1013, retry: true, message: 'too slow a reader' },
  replaced: { close: 4409, retry: false, message: 'a newer session of the same user has taken its place' },
  expired: { close: 4401, retry: false, message: 'the rights of this client have ended' },
} satisfies Record<string, ErrorRow>;

type Table = typeof TABLE;
export type ErrorKey = keyof Table;
/** Keys that HTTP can answer. */
export type HttpErrorKey = { [K in ErrorKey]: Table[K] extends { status: number } ? K : never }[ErrorKey];
/** Keys that can end a session. */
export type CloseKey = { [K in ErrorKey]: Table[K] extends { close: number } ? K : never }[ErrorKey];
/** `error.code` on `/socket`. */
export type FrameErrorKey = { [K in ErrorKey]: Table[K] extends { frame: true } ? K : never }[ErrorKey];

export const ERRORS: Readonly<Record<ErrorKey, ErrorRow>> = TABLE;

/** Retry-After is one of so many seconds from 1 on where nobody says more, so that refused clients do not all come back at once. */
const RETRY_AFTER_SPREAD = 5;

/** A refusal that says more than its row does. */
interface Refusal {
  readonly key: HttpErrorKey;
  readonly message: string;
}

export type Refused = HttpErrorKey | Refusal;

/** Whether it is one, and not what was asked for. */
export function isRefused(answer: Refused | object): answer is Refused {
  return typeof answer === 'string' || 'key' in answer;
}

export function keyOf(refused: Refused): HttpErrorKey {
  return typeof refused === 'string' ? refused : refused.key;
}

/**
 * The whole answer to a refused request: JSON `{"error","message"}` of at most 200 bytes that echoes nothing of the request but the room that a
 * refusal names, and a closed connection.
 * `headers` are added, such as Allow. `spread`: within how many seconds those who are refused may come back.
 */
export function httpError(refused: Refused, headers?: Readonly<Record<string, string>>, spread = RETRY_AFTER_SPREAD): Answer {
  const key = keyOf(refused);
  const row: ErrorRow = ERRORS[key];
  const answer = jsonAnswer(row.status ?? 500, { error: key, message: typeof refused === 'string' ? row.message : refused.message });
  const retryAfter = String(1 + Math.floor(Math.random() * spread));
  return {
    ...answer,
    headers: {
      ...answer.headers,
      Connection: 'close',
      ...row.headers,
      ...(row.status !== 500 && row.retry ? { 'Retry-After': retryAfter } : {}),
      ...headers,
    },
  };
}

/** How a session ends, in the words of RFC 6455 whatever its wire: a code (section 7.4), and a reason of at most 123 bytes. */
export interface End {
  readonly code: number;
  readonly reason: string;
}

export function closeOf(key: CloseKey): End {
  const row: ErrorRow = ERRORS[key];
  return { code: row.close ?? 1011, reason: row.message };
}
