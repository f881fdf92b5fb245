import { Buffer } from 'node:buffer';
import { MAX_STATE } from '@busgate/consumer/run';
import { parsePosition } from '@busgate/layer';
import type { Action, ResponseOf, ReplyRefusal, Reply, State } from './reply.ts';
import {
  isAbsent,
  isObject,
  type Members,
  optional,
  readFlag,
  readHeaders,
  readMessage,
  readName,
  readPayload,
  readRoom,
  readText,
  readValue,
  readWhole,
  ReplyError,
} from './reply-members.ts';

/** What a reply was read as, or why it is dropped, with a sentence for the operator's log. */
export type Parsed = { readonly reply: Reply; readonly refused?: never } | { readonly refused: ReplyRefusal; readonly message: string; readonly reply?: never };

/** Events of a session that a worker may ask to have in flight. */
const MAX_WINDOW = 1000;
/** Bytes of a close frame's reason (RFC 6455 section 5.5). */
const MAX_REASON = 123;
const ORDINARY_CLOSE = 1000;
const EMPTY = new Uint8Array();

const readOrder = readWhole(0, Number.MAX_SAFE_INTEGER);
const readStatus = readWhole(200, 599);

/** Every type of reply that is one action. */
const ACTIONS: Readonly<Record<string, (members: Members) => readonly Action[]>> = {
  'websocket.accept': (members) => [readAccept(members)],
  'websocket.send': (members) => [readSend(members)],
  'websocket.close': (members) => [readClose(optional(members, 'code', (value) => value) ?? ORDINARY_CLOSE, optional(members, 'reason', readText) ?? '')],
  'websocket.http.response.start': (members) => [readStart(members, 'websocket')],
  'websocket.http.response.body': (members) => [readBody(members, 'websocket')],
  'http.response.start': (members) => [readStart(members, 'http')],
  'http.response.body': (members) => [readBody(members, 'http')],
  'http.response': readWholeAnswer,
  'room.join': (members) => [readJoin(members)],
  'room.leave': (members) => [{ type: 'leave', room: readRoom(members['room'], 'room') }],
  'group.add': (members) => [{ type: 'group', op: 'add', group: readName(members['group'], 'group') }],
  'group.discard': (members) => [{ type: 'group', op: 'discard', group: readName(members['group'], 'group') }],
  'room.publish': (members) => [readPublish(members)],
  'group.send': (members) => [readGroupSend(members)],
  'websocket.release': () => [{ type: 'release' }],
  state: (members) => {
    if (members['state'] === undefined) throw new ReplyError('bad_state', 'state must be said');
    return [];
  },
  done: (members) => {
    readOrder(members['order'], 'order');
    return [];
  },
  working: (members) => {
    readOrder(members['order'], 'order');
    return [];
  },
};

/**
 * Reads what a worker sent to a session's reply channel: one reply, or a list of them, each of which stands for itself. What the list says of the event and the session
 * holds behind its last reply, and its lease is that of each which says none.
 */
export function parseReplies(payload: Uint8Array): readonly Parsed[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  } catch {
    return [{ refused: 'bad_json', message: 'a reply must be JSON' }];
  }
  return isObject(value) && Array.isArray(value['replies']) ? parseList(value, value['replies']) : [parseReply(value)];
}

function parseList({ lease, done, working, state }: Members, replies: readonly unknown[]): readonly Parsed[] {
  const under = (item: unknown): unknown => (isObject(item) && isAbsent(item['lease']) ? { ...item, lease } : item);
  const parsed = replies.map((item) => parseReply(isAbsent(lease) ? item : under(item)));
  const saysNothing = isAbsent(done) && isAbsent(working) && state === undefined;
  return saysNothing ? parsed : [...parsed, parseReply({ done, working, state, lease })];
}

/** Reads one reply: an object, parsed from JSON or made in this process. */
export function parseReply(value: unknown): Parsed {
  try {
    if (!isObject(value)) throw new ReplyError('bad_reply', 'a reply must be a JSON object');
    return { reply: readReply(value) };
  } catch (error) {
    if (error instanceof ReplyError) return { refused: error.refusal, message: error.message };
    throw error;
  }
}

function readReply(members: Members): Reply {
  const { type } = members;
  const done = optional(members, 'done', readOrder) ?? (type === 'done' ? readOrder(members['order'], 'order') : undefined);
  const working = optional(members, 'working', readOrder) ?? (type === 'working' ? readOrder(members['order'], 'order') : undefined);
  const lease = optional(members, 'lease', readOrder);
  const state = members['state'] === undefined ? undefined : { value: readState(members['state']) };
  return {
    actions: isAbsent(type) ? readShortForm(members) : readTyped(type, members),
    ...(state === undefined ? {} : { state }),
    ...(done === undefined ? {} : { done }),
    ...(working === undefined ? {} : { working }),
    ...(lease === undefined ? {} : { lease }),
  };
}

function readState(state: unknown): State {
  const value = readValue(state, 'state', 'bad_state');
  if (Buffer.byteLength(JSON.stringify(state)) > MAX_STATE) throw new ReplyError('bad_state', `state must be at most ${MAX_STATE} bytes of JSON`);
  return value;
}

function readTyped(type: unknown, members: Members): readonly Action[] {
  const read = typeof type === 'string' && Object.hasOwn(ACTIONS, type) ? ACTIONS[type] : undefined;
  if (read === undefined) throw new ReplyError('unknown_type', 'no reply has this type');
  return read(members);
}

/** Channels 1: `accept`, `text`, `bytes`, `close`, in this order. A reply that only says something of its event has none of them. */
function readShortForm(members: Members): readonly Action[] {
  const actions: Action[] = [];
  const accept = optional(members, 'accept', readFlag);
  if (accept === true) actions.push({ type: 'accept', headers: [] });
  else if (accept === false) actions.push({ type: 'close', code: ORDINARY_CLOSE, reason: '' });
  const says = (name: string): boolean => !isAbsent(members[name]);
  if (says('text')) actions.push(readSend({ text: members['text'] }));
  if (says('bytes')) actions.push(readSend({ bytes: members['bytes'] }));
  const close = optional(members, 'close', (value) => value);
  if (close !== undefined && close !== false) actions.push(readClose(close === true ? ORDINARY_CLOSE : close, ''));
  const isOfEvent = ['accept', 'close', 'done', 'working', 'state'].some(says) || members['state'] === null;
  if (actions.length === 0 && !isOfEvent)
    throw new ReplyError('bad_reply', 'a reply must say its type, or one of accept, text, bytes, close, done, working, state');
  return actions;
}

function readAccept(members: Members): Action {
  const subprotocol = optional(members, 'subprotocol', readText);
  const queue = optional(members, 'queue', readName);
  const window = optional(members, 'window', readWhole(1, MAX_WINDOW));
  return {
    type: 'accept',
    headers: optional(members, 'headers', readHeaders) ?? [],
    ...(subprotocol === undefined ? {} : { subprotocol }),
    ...(queue === undefined ? {} : { queue }),
    ...(window === undefined ? {} : { window }),
  };
}

function readSend(members: Members): Action {
  const { as, payload } = readPayload(members, ['text', 'bytes']);
  return { type: 'send', payload, binary: as === 'bytes' };
}

/** A code that an application may send (RFC 6455 section 7.4), and a reason that its frame can hold. */
function readClose(code: unknown, reason: string): Action {
  if (typeof code !== 'number' || !isCloseCode(code)) throw new ReplyError('bad_code', 'code must be 1000, 1001, 1008, 1011 to 1013 or 3000 to 4999');
  if (Buffer.byteLength(reason) > MAX_REASON) throw new ReplyError('bad_code', `reason must be at most ${MAX_REASON} bytes`);
  return { type: 'close', code, reason };
}

function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return [1000, 1001, 1008, 1011, 1012, 1013].includes(code) || (code >= 3000 && code <= 4999);
}

function readStart(members: Members, of: ResponseOf): Action {
  const status = members['status'] === undefined ? 200 : readStatus(members['status'], 'status');
  return { type: 'start', of, status, headers: optional(members, 'headers', readHeaders) ?? [] };
}

function readBody(members: Members, of: ResponseOf): Action {
  const body = hasContent(members) ? readPayload(members, ['body', 'text']).payload : EMPTY;
  return { type: 'body', of, body, more: optional(members, 'more_body', readFlag) ?? false };
}

/** The short form: a whole answer. */
function readWholeAnswer(members: Members): readonly Action[] {
  const start = readStart(members, 'http');
  if (start.type !== 'start') return [start];
  if (members['json'] === undefined && !hasContent(members)) return [start, { type: 'body', of: 'http', body: EMPTY, more: false }];
  const { as, payload } = readPayload(members, ['body', 'text', 'json']);
  const kind = as === 'json' ? 'application/json' : as === 'text' ? 'text/plain; charset=utf-8' : undefined;
  const typed = kind === undefined || start.headers.some(([name]) => name === 'content-type');
  const headers = typed ? start.headers : [...start.headers, ['content-type', kind] as const];
  return [
    { ...start, headers },
    { type: 'body', of: 'http', body: payload, more: false },
  ];
}

function hasContent(members: Members): boolean {
  return ['body', 'text'].some((name) => !isAbsent(members[name]));
}

function readJoin(members: Members): Action {
  const since = optional(members, 'since', readText);
  if (since !== undefined && parsePosition(since) === undefined) throw new ReplyError('bad_reply', 'since must be a position that Busgate gave');
  const last = optional(members, 'last', readWhole(0, 1_000_000));
  return {
    type: 'join',
    room: readRoom(members['room'], 'room'),
    ...(since === undefined ? {} : { since }),
    ...(last === undefined ? {} : { last }),
  };
}

function readPublish(members: Members): Action {
  const { payload } = readPayload(members, ['text', 'bytes', 'json']);
  return { type: 'publish', room: readRoom(members['room'], 'room'), payload, ...readTraceparent(members) };
}

function readGroupSend(members: Members): Action {
  return { type: 'groupSend', group: readName(members['group'], 'group'), message: readMessage(members['message'], 'message'), ...readTraceparent(members) };
}

/** What is none stops nothing. */
function readTraceparent({ traceparent }: Members): { readonly traceparent?: string } {
  return typeof traceparent === 'string' ? { traceparent } : {};
}
