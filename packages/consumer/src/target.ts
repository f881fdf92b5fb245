import type { ConsumerContext } from './context.ts';
import type { Outlet } from './outlet.ts';
import type { ConnectEvent, DisconnectEvent, HttpRequestEvent, ReceiveEvent } from './wire.ts';

export type Params = Readonly<Record<string, string>>;

/** One session that lives in this process for as long as its socket does. */
export interface Conversation {
  receive(event: ReceiveEvent): void;
  disconnect(event: DisconnectEvent): void;
  /** Whether an event is in the handler's hands. */
  readonly isBusy: boolean;
  /** This worker stops: ends what is in hand, begins nothing more, and resolves when the session can be given to another one. */
  release(): Promise<void>;
  /** Something that the handler began, and did not wait for, has failed: the socket is closed. */
  fail(error: unknown): void;
  /** Resolves when the handler has ended; never rejects. */
  readonly ended: Promise<void>;
}

/** A handler that keeps something between events: an object, or a function that has not returned. */
export interface LivingTarget {
  readonly kind: 'living';
  /** Begins with a connect. */
  begin(event: ConnectEvent, params: Params, outlet: Outlet, context: ConsumerContext): Conversation;
  /** A disconnect of a session whose handler died elsewhere. */
  bury(event: DisconnectEvent, params: Params, outlet: Outlet, context: ConsumerContext): Promise<void>;
}

/** A handler that keeps nothing: any process may handle any event. */
export interface StatelessTarget {
  readonly kind: 'stateless';
  /** Rejects with what the handler throws. */
  handle(event: ConnectEvent | ReceiveEvent | DisconnectEvent, params: Params, outlet: Outlet, context: ConsumerContext): Promise<void>;
}

/** A handler of plain HTTP requests. */
export interface HttpTarget {
  readonly kind: 'http';
  /** `signal` aborts when the client leaves. Rejects with what the handler throws, where nothing of the answer has been sent. */
  handle(event: HttpRequestEvent, params: Params, outlet: Outlet, signal: AbortSignal): Promise<void>;
}

export type SocketTarget = LivingTarget | StatelessTarget;
