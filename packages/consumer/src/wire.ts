import type { Value } from '@busgate/layer';

/** A header: its name in lower case, and its value. */
export type Header = readonly [name: string, value: string];

/** What every event says of its session. */
interface EventBase {
  readonly id: string;
  readonly session: string;
  /** Grows by one with each event of the session; null where a gateway died and another one speaks for it. */
  readonly order: number | null;
  /** Grows whenever another worker gets the session. */
  readonly lease: number;
  readonly reply_channel: string;
  readonly reply_topic: string;
  /** The gateway's route. */
  readonly route: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  /** What a reply put on the session. */
  readonly state: Value;
  /** Whose session it is, where that is known; else null in what begins one. */
  readonly user?: string | null;
  /** What is known of the user besides. */
  readonly info?: Value;
}

/** The request that a session began with. */
interface OpeningRequest {
  readonly query_string: string;
  readonly raw_path: string;
  readonly scheme: string;
  readonly http_version: string;
  readonly headers: readonly Header[];
  readonly client: readonly [address: string, port: number];
  readonly server: readonly [address: string, port: number];
  /** Of the trace that the request is part of (W3C Trace Context), where the gateway follows it. */
  readonly traceparent?: string;
}

export interface ConnectEvent extends EventBase, OpeningRequest {
  readonly type: 'websocket.connect';
  readonly order: number;
  readonly subprotocols: readonly string[];
  /** Another worker had this session before: the client's socket is open. */
  readonly resumed: boolean;
  /** How many events that worker did not finish; absent where it gave the session back itself. */
  readonly undone?: number;
}

export interface ReceiveEvent extends EventBase {
  readonly type: 'websocket.receive';
  readonly order: number;
  readonly text?: string;
  readonly bytes?: Uint8Array;
}

export interface DisconnectEvent extends EventBase {
  readonly type: 'websocket.disconnect';
  readonly code: number;
  readonly reason: string;
  /** The queue of the worker that had the session: where that lives, this is for it. */
  readonly own_queue?: string;
}

export interface HttpRequestEvent extends EventBase, OpeningRequest {
  readonly type: 'http.request';
  readonly order: number;
  readonly method: string;
  readonly body: Uint8Array;
}

interface HttpDisconnectEvent extends EventBase {
  readonly type: 'http.disconnect';
}

/** What a gateway tells a worker. */
export type GatewayEvent = ConnectEvent | ReceiveEvent | DisconnectEvent | HttpRequestEvent | HttpDisconnectEvent;

/** A payload: a string or bytes, one of the two. */
export interface Content {
  readonly text?: string;
  readonly bytes?: Uint8Array;
}

/** What a worker tells a gateway: one object of PROTOCOL.md's table of replies. Each may say besides which event has been handled with it. */
export type Reply = { readonly done?: number } & (
  | {
      readonly type: 'websocket.accept';
      readonly subprotocol?: string;
      readonly headers?: readonly Header[];
      readonly queue?: string;
      readonly window?: number;
    }
  | ({ readonly type: 'websocket.send' } & Content)
  | { readonly type: 'websocket.close'; readonly code: number; readonly reason: string }
  | { readonly type: 'websocket.release' }
  | { readonly type: 'websocket.http.response.start' | 'http.response.start'; readonly status: number; readonly headers: readonly Header[] }
  | { readonly type: 'websocket.http.response.body' | 'http.response.body'; readonly body?: Uint8Array; readonly more_body?: boolean }
  | { readonly type: 'http.response'; readonly status: number; readonly headers?: readonly Header[]; readonly text?: string }
  | { readonly type: 'room.join'; readonly room: string; readonly since?: string; readonly last?: number }
  | { readonly type: 'room.leave'; readonly room: string }
  | ({ readonly type: 'room.publish'; readonly room: string; readonly traceparent?: string | undefined } & Content)
  | { readonly type: 'group.add' | 'group.discard'; readonly group: string }
  | { readonly type: 'group.send'; readonly group: string; readonly message: { readonly [member: string]: Value }; readonly traceparent?: string | undefined }
  | { readonly type: 'state'; readonly state: Value }
  | { readonly type: 'done' | 'working'; readonly order: number }
);

const TYPES: ReadonlySet<unknown> = new Set(['websocket.connect', 'websocket.receive', 'websocket.disconnect', 'http.request', 'http.disconnect']);

/** Whether a message that was read from a queue is an event: what else is on it is none of this worker's. */
export function isEvent(message: Readonly<Record<string, unknown>>): message is GatewayEvent & Readonly<Record<string, unknown>> {
  const { type, session, reply_channel: channel, path, lease } = message;
  return TYPES.has(type) && typeof session === 'string' && typeof channel === 'string' && typeof path === 'string' && typeof lease === 'number';
}
