import type { Answer, StreamedAnswer, WaitingAnswer } from '../answer.ts';
import type { RouteKind } from '../counters.ts';
import type { HttpErrorKey, Refused } from '../errors.ts';
import type { PathPattern } from '../config/path.ts';
import type { Conversation } from '../session/conversation.ts';
import type { Greeting } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import type { Params, RouteRequest } from './request.ts';

/** A session that may begin. Either it begins, or it is cancelled. */
export interface Opening {
  /** Of the route. */
  readonly kind: RouteKind;
  /** The session's id, where the route has told it to somebody already. */
  readonly id?: string;
  /** What the answer to the request says; without it what the transport says by itself. */
  readonly greeting?: Greeting;
  /** The session has its link: makes what its frames go to. */
  begin(session: Session): Conversation;
  cancel(): void;
}

type Refusal = Answer | HttpErrorKey;

/** A path, and what its frames mean. */
export interface Route {
  readonly path: PathPattern;
  /** Bytes of one message from a client. */
  readonly messageLimit: number;
  /** What is wrong with the path's parameters. */
  fault(params: Params): 'bad_room' | undefined;
  /** Why this client may not begin a session here; undefined where it may. */
  denial(request: RouteRequest): Refused | undefined;
  /** Makes ready what a session needs, or refuses it, in its own words or in those of the table; at once where that is known already. Rejects with a LayerError. */
  open(request: RouteRequest): Opening | Refusal | Promise<Opening | Refusal>;
  /** What {@link open} would refuse of what is asked for, where that can be told without opening anything. */
  askedFault?(request: RouteRequest): HttpErrorKey | undefined;
  /** What a POST does here, without a session. */
  readonly posting?: Posting | undefined;
  /** What answers questions that need no session. */
  readonly asking?: Asking;
  /** What answers requests of any method that ask for no transport. */
  readonly serving?: Serving | undefined;
}

/** `ended`: the client has ended its side of the connection before its answer began, as one does that has gone, and one that waits for it. `gone`: nobody can read it any more. */
export type Leave = 'ended' | 'gone';

/** Calls `left` when the client leaves before its answer was whole, for either or for both. */
export type Leaving = (left: (how: Leave) => void) => void;

export interface Serving {
  /** Rejects with a LayerError. */
  serve(request: RouteRequest, body: Uint8Array, leaving: Leaving): Promise<Answer | StreamedAnswer>;
}

/** Questions that have one answer each, which may wait. */
export interface Asking {
  /** Whether the request, which asks for no transport, is one. */
  isAsked(request: RouteRequest): boolean;
  /** Why this client may not; undefined where it may, or where that is known only once its rooms are read. */
  askDenial(request: RouteRequest): Refused | undefined;
  /** Rejects with a LayerError: nothing was changed then. */
  ask(request: RouteRequest): Promise<Answer | WaitingAnswer | Refused>;
}

export interface Posting {
  /** What a body asks for that a GET has in its query: a session, or the answer to a question; undefined where it is to be posted. */
  askedBy?(request: RouteRequest, body: Uint8Array): RouteRequest['asked'];
  /** Why this client may not; undefined where it may. */
  postDenial(request: RouteRequest): Refused | undefined;
  /** Rejects with a LayerError. */
  post(request: RouteRequest, body: Uint8Array): Promise<Answer | Refused>;
}
