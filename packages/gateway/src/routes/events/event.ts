import type { Message, Value } from '@busgate/layer';
import type { Identity } from '../../identity.ts';
import type { State } from './reply.ts';

/** A disconnect may wait unread for so long, in milliseconds. */
export const DISCONNECT_LIFETIME_MS = 86_400_000;

/** What every event of a session says. */
export interface Subject {
  readonly session: string;
  readonly replyChannel: string;
  readonly replyTopic: string;
  /** The route's path as the configuration has it. */
  readonly route: string;
  /** The path that was asked for, decoded. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly who: KnownClient;
}

/** Who asks, and what is known of it. */
export interface KnownClient {
  readonly user: string | null;
  /** Absent where nothing was said. */
  readonly info?: Value;
}

export function knownClient({ user, info }: Identity): KnownClient {
  return { user: user ?? null, ...(info !== undefined && info !== null && { info: info as Value }) };
}

/** How the session stands when the event is made. */
export interface Standing {
  readonly order: number;
  readonly lease: number;
  readonly state: State;
}

/** The request that a session began with, in ASGI's words. */
export interface OpeningRequest {
  readonly scheme: 'ws' | 'wss' | 'http' | 'https';
  readonly method: string;
  readonly httpVersion: string;
  readonly rawPath: string;
  readonly queryString: string;
  /** Names and values, as they came. */
  readonly rawHeaders: readonly string[];
  /** Of the trace that it is part of, where that is followed. */
  readonly traceparent?: string | undefined;
  readonly client: readonly [address: string, port: number];
  readonly server: readonly [address: string, port: number];
}

/** A connection's own (RFC 9110 section 7.6.1), and what only the handshake needs. */
const LEFT_OUT = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'sec-websocket-key',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What a connect says besides: whether another worker had the session before, and how many events that one left undone; and which trace it is part of. */
interface Connecting {
  readonly resumed: boolean;
  readonly undone: number | undefined;
  readonly traceparent: string | undefined;
}

/** The first event of a socket; again, `resumed`, when another worker is to have it. */
export function connectEvent(subject: Subject, standing: Standing, asked: OpeningRequest, { resumed, undone, traceparent }: Connecting): Message {
  return {
    type: 'websocket.connect',
    ...common(subject, standing),
    ...request(subject, asked),
    subprotocols: subprotocolsOf(asked.rawHeaders),
    resumed,
    ...(undone === undefined ? {} : { undone }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

export function receiveEvent(subject: Subject, standing: Standing, data: Uint8Array, binary: boolean): Message {
  const content = binary ? { bytes: data } : { text: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString() };
  return { type: 'websocket.receive', ...common(subject, standing), ...content };
}

/** `order` is null where the gateway died and another one speaks for it; `ownQueue`: of the worker that had the session, which this is handed on to where it lives. */
export function disconnectEvent(
  subject: Subject,
  standing: Omit<Standing, 'order'> & { readonly order: number | null },
  end: { readonly code: number; readonly reason: string },
  ownQueue?: string,
): Message {
  return {
    type: 'websocket.disconnect',
    ...common(subject, standing),
    code: end.code,
    reason: end.reason,
    ...(ownQueue === undefined ? {} : { own_queue: ownQueue }),
  };
}

export function requestEvent(subject: Subject, standing: Standing, asked: OpeningRequest, body: Uint8Array, traceparent: string | undefined): Message {
  const traced = traceparent === undefined ? {} : { traceparent };
  return { type: 'http.request', ...common(subject, standing), ...request(subject, asked), method: asked.method, ...traced, body };
}

/** The client has left before its answer was whole. */
export function leftEvent(subject: Subject, standing: Standing): Message {
  return { type: 'http.disconnect', ...common(subject, standing) };
}

/** By which the queue knows a disconnect again, whoever queues it. */
function disconnectId(session: string): string {
  return `${session}:disconnect`;
}

/** What the client offered, in its order (RFC 6455 section 11.3.4). */
export function subprotocolsOf(rawHeaders: readonly string[]): readonly string[] {
  const offered: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'sec-websocket-protocol') continue;
    for (const item of (rawHeaders[index + 1] ?? '').split(',')) offered.push(item.trim());
  }
  return offered;
}

function common(subject: Subject, { order, lease, state }: Omit<Standing, 'order'> & { readonly order: number | null }): { readonly [key: string]: Value } {
  return {
    id: order === null ? disconnectId(subject.session) : `${subject.session}:${order}`,
    session: subject.session,
    order,
    lease,
    reply_channel: subject.replyChannel,
    reply_topic: subject.replyTopic,
    route: subject.route,
    path: subject.path,
    params: subject.params,
    state,
    // Who is nobody is said to be so where it asks, and not again.
    ...(subject.who.user === null ? {} : subject.who),
  };
}

function request({ who }: Subject, asked: OpeningRequest): { readonly [key: string]: Value } {
  return {
    query_string: asked.queryString,
    raw_path: asked.rawPath,
    scheme: asked.scheme,
    http_version: asked.httpVersion,
    headers: headersOf(asked.rawHeaders),
    client: asked.client,
    server: asked.server,
    ...who,
  };
}

function headersOf(rawHeaders: readonly string[]): readonly (readonly [string, string])[] {
  const named = connectionOptions(rawHeaders);
  const headers: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (!LEFT_OUT.has(name) && !named.has(name)) headers.push([name, rawHeaders[index + 1] ?? '']);
  }
  return headers;
}

/** Headers that `Connection` says are the connection's own. */
function connectionOptions(rawHeaders: readonly string[]): ReadonlySet<string> {
  const options = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'connection') continue;
    for (const option of (rawHeaders[index + 1] ?? '').split(',')) options.add(option.trim().toLowerCase());
  }
  return options;
}
