import type { Value } from '@busgate/layer';
import { checkGroup, checkHeaders, checkRoom, checkState, checkStatus } from './checks.ts';
import { checkClose, ConnectionClosedError } from './errors.ts';
import { Inbox, type ReceiveOptions } from './inbox.ts';
import type { Outlet } from './outlet.ts';
import { type SocketRequest, socketRequest } from './request.ts';
import type { ConnectEvent, Content, DisconnectEvent, Header, ReceiveEvent } from './wire.ts';

/** One message: a string for a text frame, bytes for a binary one. */
export type Data = string | Uint8Array;

export interface AcceptOptions {
  /** One of those that the client offered. */
  readonly subprotocol?: string;
  /** For the answer 101, such as a cookie. */
  readonly headers?: readonly Header[];
}

export interface SendOptions {
  /** Closes the socket behind this message, with 1000 or this code. */
  readonly thenClose?: boolean | number;
}

export interface JoinOptions {
  /** Replays first what followed this position. */
  readonly since?: string;
  /** Replays first the newest messages of the history, so many. */
  readonly last?: number;
}

export interface TraceOptions {
  /** Of the trace that this is part of (W3C Trace Context): the gateway follows it, where it traces. */
  readonly traceparent?: string | undefined;
}

/** A frame that came, and the event that it came with. */
interface Received {
  readonly data: Data;
  readonly order: number;
}

const NO_CLOSE_FRAME = 1006;
const NOT_ALLOWED = 1008;
const INTERNAL = 1011;

/**
 * One client's socket, as a handler has it. What comes is kept until it is asked for; how much that may be is bounded by the gateway, which stops reading the
 * client.
 */
export class Socket<Params extends Readonly<Record<string, string>> = Readonly<Record<string, string>>> implements AsyncIterable<Data> {
  /** The session's id; a secret between the client and its gateway. */
  readonly session: string;
  readonly request: SocketRequest;
  readonly params: Params;
  /** Another worker had this session before, and the client's socket is open. */
  readonly resumed: boolean;
  /** How many events the worker before did not finish: it died with them. */
  readonly undone: number;
  readonly rooms: SocketRooms;
  readonly groups: SocketGroups;
  readonly #outlet: Outlet;
  readonly #acceptsByUse: boolean;
  readonly #connectOrder: number;
  readonly #inbox = new Inbox<Received>();
  #phase: 'connecting' | 'open' | 'closed' = 'connecting';
  #state: Value;
  #closeCode: number | undefined;
  #closeReason = '';
  #subprotocol: string | undefined;
  #isFinished = false;
  #isRefused = false;
  /** Orders of the events whose messages the handler has. */
  #inHand: number[] = [];

  /** Made by what runs handlers. `acceptsByUse`: receiving and sending accept what has not been accepted, and with the accept the connect is handled. */
  constructor(event: ConnectEvent, params: Params, outlet: Outlet, acceptsByUse: boolean) {
    this.session = event.session;
    this.request = socketRequest(event);
    this.params = params;
    this.resumed = event.resumed;
    this.undone = event.undone ?? 0;
    this.#state = event.state;
    this.#outlet = outlet;
    this.#acceptsByUse = acceptsByUse;
    this.#connectOrder = event.order;
    this.rooms = new SocketRooms(outlet, () => this.#use());
    this.groups = new SocketGroups(outlet);
  }

  /** For what runs handlers: the socket of a later event, which was accepted by whoever had the connect. */
  static open<P extends Readonly<Record<string, string>>>(event: ReceiveEvent, params: P, outlet: Outlet): Socket<P> {
    const socket = new Socket(connectOf(event), params, outlet, false);
    socket.#phase = 'open';
    return socket;
  }

  get accepted(): boolean {
    return this.#phase === 'open';
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** For what runs handlers: it was ended before it was accepted here. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** For what runs handlers: this side has closed or refused it, and whatever the client had said before it heard of that is nobody's. */
  get isForsaken(): boolean {
    return this.#isFinished;
  }

  /** For what runs handlers: whether the handler has a message in hand. */
  get isBusy(): boolean {
    return this.#inHand.length > 0;
  }

  /** As the client's close frame said, or as this side closed; 1006 where the connection was lost; undefined while it is open. */
  get closeCode(): number | undefined {
    return this.#closeCode;
  }

  get closeReason(): string {
    return this.#closeReason;
  }

  /** What {@link accept} chose of the client's offers; undefined where it chose none, and where another worker accepted. */
  get subprotocol(): string | undefined {
    return this.#subprotocol;
  }

  /** What was put on the session: it stays with it, whichever worker has it. */
  get state(): Value {
    return this.#state;
  }

  /**
   * Puts a JSON value of at most 4 KB on the session.
   * @throws TypeError where it is no JSON value; RangeError where it is too large
   */
  async setState(state: Value): Promise<void> {
    checkState(state);
    this.#state = state;
    await this.#outlet.reply({ type: 'state', state });
  }

  /** Messages that have come and have not been asked for. */
  get pendingMessages(): number {
    return this.#inbox.size;
  }

  get hasMessages(): boolean {
    return this.#inbox.size > 0;
  }

  /** Answers the handshake. A second call is an error (TypeError), and so are a subprotocol that was not offered and a header that cannot be. */
  async accept({ subprotocol, headers }: AcceptOptions = {}): Promise<void> {
    if (this.#phase === 'closed') throw this.#closedError();
    if (this.#phase === 'open') throw new TypeError('the connection has been accepted already');
    if (subprotocol !== undefined && !this.request.subprotocols.includes(subprotocol)) {
      throw new TypeError(`the client did not offer the subprotocol ${subprotocol}; it offered: ${this.request.subprotocols.join(', ') || 'none'}`);
    }
    checkHeaders(headers ?? []);
    this.#phase = 'open';
    this.#subprotocol = subprotocol;
    await this.#outlet.reply({
      type: 'websocket.accept',
      ...(subprotocol === undefined ? {} : { subprotocol }),
      ...(headers === undefined ? {} : { headers }),
      ...this.#connectDone,
    });
  }

  /** Refuses the connection with a status of 300 to 599, before it is accepted. One that another worker had before is open: it is closed, with 1008, or 1011 for a status from 500. */
  async reject(status = 403, body = '', headers: readonly Header[] = []): Promise<void> {
    if (this.#phase !== 'connecting') throw new TypeError('only a connection that has not been accepted can be refused: close it');
    checkStatus(status);
    checkHeaders(headers);
    if (this.resumed) return this.close(status < 500 ? NOT_ALLOWED : INTERNAL);
    this.#isRefused = true;
    this.#end(NO_CLOSE_FRAME, '');
    this.#forgetUnread();
    await this.#outlet.reply({ type: 'websocket.http.response.start', status, headers: [['content-type', 'text/plain; charset=utf-8'], ...headers] });
    await this.#outlet.reply({ type: 'websocket.http.response.body', body: new TextEncoder().encode(body), ...this.#connectDone });
  }

  /** A string as a text frame, bytes as a binary one, anything else as JSON. Resolves when it has been handed on. */
  async send(data: Data | object, { thenClose = false }: SendOptions = {}): Promise<void> {
    const content = contentOf(data);
    this.#use();
    await this.#outlet.reply({ type: 'websocket.send', ...content });
    if (thenClose !== false) await this.close(thenClose === true ? 1000 : thenClose);
  }

  /** Ends the socket; before it is accepted, refuses it with 403. Calling twice is no error. */
  async close(code = 1000, reason = ''): Promise<void> {
    checkClose(code, reason);
    if (this.#phase === 'closed') return;
    this.#isRefused = this.#phase === 'connecting';
    this.#end(this.#isRefused && !this.resumed ? NO_CLOSE_FRAME : code, reason);
    const closing = this.#outlet.reply({ type: 'websocket.close', code, reason, ...(this.#isRefused ? this.#connectDone : {}) });
    this.#forgetUnread();
    await closing;
  }

  /**
   * The next message. What came before the end is still given out after it.
   * @throws ConnectionClosedError; ReceiveTimeoutError after `timeout` milliseconds; `signal.reason` when aborted
   */
  async receive(options: ReceiveOptions = {}): Promise<Data> {
    this.#handled();
    if (this.#phase === 'connecting') this.#use();
    return this.#taken(await this.#inbox.receive(options));
  }

  /** The next message if one has come, else `fallback`. */
  tryReceive<T = undefined>(fallback?: T): Data | T {
    this.#handled();
    if (this.#phase === 'connecting') this.#use();
    const received = this.#inbox.take();
    return received === undefined ? (fallback as T) : this.#taken(received);
  }

  /** Every message until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Data, void, undefined> {
    try {
      for (;;) yield await this.receive();
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) throw error;
    } finally {
      // Who leaves the loop is at the end of its message, too.
      this.#handled();
    }
  }

  /** For what runs handlers: a frame has come. */
  deliver(received: Received): void {
    this.#inbox.put(received);
    if (this.#isFinished) this.#forgetUnread();
  }

  /** For what runs handlers: the handler has ended. What it did not ask for is nobody's, and handled with that. */
  finish(): void {
    this.#handled();
    this.#forgetUnread();
  }

  /** For what runs handlers: the handler has ended, or asks for nothing more: what it has in hand is handled, and the rest is another worker's. */
  handOver(): void {
    this.#handled();
  }

  /** For what runs handlers: the client has gone. */
  gone(code: number, reason: string): void {
    this.#end(code, reason);
  }

  /** For what runs handlers: no message is given out any more, and who waits for one is told `error`. */
  interrupt(error: Error): void {
    this.#inbox.abandon(error);
  }

  #taken({ data, order }: Received): Data {
    this.#inHand.push(order);
    if (this.#outlet.isLocal === true) this.#handled();
    return data;
  }

  /** The handler asks for the next message, or for nothing more: with those that it has it is at its end, and the gateway may send others. */
  #handled(): void {
    if (this.#inHand.length === 0) return;
    const orders = this.#inHand;
    this.#inHand = [];
    for (const order of orders) this.#done(order);
  }

  /** What came, or will come, and nobody is going to ask for. */
  #forgetUnread(): void {
    this.#isFinished = true;
    for (let received = this.#inbox.take(); received !== undefined; received = this.#inbox.take()) this.#done(received.order);
  }

  #done(order: number): void {
    void this.#outlet.reply({ type: 'done', order }).catch(() => undefined);
  }

  /** Where the connect is handled with the answer to it. */
  get #connectDone(): { readonly done?: number } {
    return this.#acceptsByUse ? { done: this.#connectOrder } : {};
  }

  #use(): void {
    if (this.#phase === 'closed') throw this.#closedError();
    if (this.#phase === 'open') return;
    if (!this.#acceptsByUse) throw new TypeError('accept the connection first');
    void this.accept();
  }

  #end(code: number, reason: string): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#closeCode = code;
    this.#closeReason = reason;
    this.#inbox.end(this.#closedError());
  }

  #closedError(): ConnectionClosedError {
    return new ConnectionClosedError(this.#closeCode ?? NO_CLOSE_FRAME, this.#closeReason);
  }
}

/** Rooms whose messages the client gets as frames of its own socket, without passing the handler. */
class SocketRooms {
  readonly #outlet: Outlet;
  readonly #use: () => void;

  /** `use`: accepts the socket by use, or says that it must be accepted first. */
  constructor(outlet: Outlet, use: () => void) {
    this.#outlet = outlet;
    this.#use = use;
  }

  async join(room: string, options: JoinOptions = {}): Promise<void> {
    checkRoom(room);
    this.#use();
    await this.#outlet.reply({ type: 'room.join', room, ...options });
  }

  async leave(room: string): Promise<void> {
    checkRoom(room);
    this.#use();
    await this.#outlet.reply({ type: 'room.leave', room });
  }

  /** To everybody in the room. Strings and bytes as they are, anything else as JSON. */
  async publish(room: string, payload: Data | object, options: TraceOptions = {}): Promise<void> {
    checkRoom(room);
    await this.#outlet.reply({ type: 'room.publish', room, ...contentOf(payload), ...options });
  }
}

/** Groups of sessions: what is sent to one is a reply to each of them. */
class SocketGroups {
  readonly #outlet: Outlet;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  async add(group: string): Promise<void> {
    checkGroup(group);
    await this.#outlet.reply({ type: 'group.add', group });
  }

  async discard(group: string): Promise<void> {
    checkGroup(group);
    await this.#outlet.reply({ type: 'group.discard', group });
  }

  /** `message` is a reply, such as `{type: 'websocket.send', text: 'hi'}`, to every session of the group. */
  async send(group: string, message: { readonly [member: string]: Value }, options: TraceOptions = {}): Promise<void> {
    checkGroup(group);
    await this.#outlet.reply({ type: 'group.send', group, message, ...options });
  }
}

function contentOf(payload: Data | object): Content {
  return payload instanceof Uint8Array ? { bytes: payload } : { text: textOf(payload) };
}

function textOf(data: string | object): string {
  if (typeof data === 'string') return data;
  const json = JSON.stringify(data) as string | undefined;
  if (json === undefined) throw new TypeError(`${typeof data} is nothing that JSON can say`);
  return json;
}

/** A later event says nothing of the request that its session began with, but who made it. */
export function connectOf(event: ReceiveEvent | DisconnectEvent): ConnectEvent {
  return {
    ...event,
    type: 'websocket.connect',
    order: event.order ?? 0,
    query_string: '',
    raw_path: event.path,
    scheme: 'ws',
    http_version: '1.1',
    headers: [],
    client: ['', 0],
    server: ['', 0],
    user: event.user ?? null,
    subprotocols: [],
    resumed: false,
  };
}
