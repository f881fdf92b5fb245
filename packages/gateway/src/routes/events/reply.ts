import type { Message, Value } from '@busgate/layer';

/** A header: its name in lower case, and its value (RFC 9110 section 5). */
export type Header = readonly [name: string, value: string];

/** A JSON value that a worker has put on a session; every later event carries it. */
export type State = Value;

/** One thing that a worker wants done for a session, checked as far as can be without knowing how the session stands. */
export type Action =
  | { readonly type: 'accept'; readonly subprotocol?: string; readonly headers: readonly Header[]; readonly queue?: string; readonly window?: number }
  | { readonly type: 'send'; readonly payload: Uint8Array; readonly binary: boolean }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  | { readonly type: 'start'; readonly of: ResponseOf; readonly status: number; readonly headers: readonly Header[] }
  | { readonly type: 'body'; readonly of: ResponseOf; readonly body: Uint8Array; readonly more: boolean }
  | { readonly type: 'join'; readonly room: string; readonly since?: string; readonly last?: number }
  | { readonly type: 'leave'; readonly room: string }
  | { readonly type: 'group'; readonly op: 'add' | 'discard'; readonly group: string }
  | { readonly type: 'publish'; readonly room: string; readonly payload: Uint8Array; readonly traceparent?: string }
  | { readonly type: 'groupSend'; readonly group: string; readonly message: Message; readonly traceparent?: string }
  | { readonly type: 'release' };

/** Which request an HTTP answer is for: the upgrade of a socket that is refused with it, or a plain request. */
export type ResponseOf = 'websocket' | 'http';

/** A reply as a worker sent it: its actions, and what it says of the event besides. */
export interface Reply {
  readonly actions: readonly Action[];
  /** The state that replaces the session's; absent where it stays. */
  readonly state?: { readonly value: State };
  /** The order of the event that has been handled. */
  readonly done?: number;
  /** The order of the event that is still being handled. */
  readonly working?: number;
  /** The number of the lease under which it speaks; absent where anybody else does. */
  readonly lease?: number;
}

/** Why a reply was dropped: a closed list, the values of a metric's label. */
export const REFUSALS = [
  'bad_json',
  'bad_reply',
  'unknown_type',
  'bad_header',
  'bad_code',
  'bad_name',
  'bad_state',
  'not_offered',
  'not_accepted',
  'accepted_twice',
  'not_allowed',
  'too_large',
  'failed',
] as const;

export type ReplyRefusal = (typeof REFUSALS)[number];
