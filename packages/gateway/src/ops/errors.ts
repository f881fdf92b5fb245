import { type Answer, jsonAnswer } from '../answer.ts';

interface ErrorRow {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** For people, and not fixed. */
  readonly message: string;
}

/** Everything that the operator's API refuses, in the shape of the public port's errors. The key is API. */
const TABLE = {
  bad_request: { status: 400, message: 'the request is malformed, or a part of it is missing or of the wrong kind' },
  bad_json: { status: 400, message: 'the body must be JSON, at most 32 levels deep' },
  bad_cursor: { status: 400, message: 'the cursor must be one that a page of this list gave' },
  bad_room: { status: 400, message: 'a room name is 1 to 200 of A-Z a-z 0-9 _ : @ - with single dots between levels' },
  bad_position: { status: 400, message: 'the position must be one that the gateway gave' },
  no_history: { status: 400, message: 'this room keeps no history: see the setting history' },
  no_auth: { status: 400, message: 'no user or token is known here, sessions alone: neither auth.jwt nor auth.http is said' },
  no_records: { status: 400, message: 'this layer keeps no records of whom it was asked to refuse; with JetStream, NATS does' },
  unauthorized: { status: 401, headers: { 'WWW-Authenticate': 'Bearer' }, message: 'the key of this port is wanted: Authorization: Bearer KEY' },
  key_in_query: { status: 401, headers: { 'WWW-Authenticate': 'Bearer' }, message: 'a key never belongs into a query: Authorization: Bearer KEY' },
  no_route: { status: 404, message: 'the API has no such path' },
  no_session: { status: 404, message: 'there is no such session' },
  method: { status: 405, message: 'this path does not take this method' },
  body_too_large: { status: 413, message: 'the body, or the payload in it, is larger than this gateway takes' },
  full: { status: 503, headers: { 'Retry-After': '1' }, message: 'as many requests of the API are under way as may be' },
  away: { status: 503, headers: { 'Retry-After': '1' }, message: 'the layer cannot be reached just now' },
  no_worker: { status: 503, headers: { 'Retry-After': '1' }, message: 'no worker answers just now' },
  no_gateway: { status: 504, message: 'the gateway of that session did not answer: it may have been done or not' },
  unknown: { status: 504, message: 'the layer did not answer: it may have been done or not' },
  internal: { status: 500, message: 'an error of the gateway' },
} satisfies Record<string, ErrorRow>;

export type OpsErrorKey = keyof typeof TABLE;

export const OPS_ERRORS: Readonly<Record<OpsErrorKey, ErrorRow>> = TABLE;

/** What a call is refused with. */
export class OpsError extends Error {
  readonly key: OpsErrorKey;

  constructor(key: OpsErrorKey) {
    super(OPS_ERRORS[key].message);
    this.key = key;
  }
}

/** `{"error","message"}`. `headers` are added, such as Allow. */
export function opsRefusal(key: OpsErrorKey, headers?: Readonly<Record<string, string>>): Answer {
  const row: ErrorRow = OPS_ERRORS[key];
  const answer = jsonAnswer(row.status, { error: key, message: row.message });
  return { ...answer, headers: { ...answer.headers, ...row.headers, ...headers } };
}
