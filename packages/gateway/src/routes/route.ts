import type { PathPattern } from '../config/path.ts';
import type { Conversation } from '../session/conversation.ts';
import type { Session } from '../session/session.ts';

/** What the path of a request gave, by parameter, decoded. */
export type Params = Readonly<Record<string, string>>;

/** A session that may begin. Either it begins, or it is cancelled. */
export interface Opening {
  /** The session has its link: makes what its frames go to. */
  begin(session: Session): Conversation;
  cancel(): void;
}

export interface Published {
  readonly room: string;
  readonly position?: string;
}

/** A path, and what its frames mean. */
export interface Route {
  readonly path: PathPattern;
  /** Bytes of one message from a client. */
  readonly messageLimit: number;
  readonly subprotocols: readonly string[];
  /** What is wrong with the path's parameters. */
  fault(params: Params): 'bad_room' | undefined;
  /** Whether clients may begin a session here. */
  readonly mayOpen: boolean;
  /** Makes ready what a session needs; at once where it is ready already. Rejects with a LayerError. */
  prepare(params: Params): Opening | Promise<Opening>;
  /** Where a message may be published without a session. */
  readonly publishing?: Publishing;
}

export interface Publishing {
  readonly isAllowed: boolean;
  /** Rejects with a LayerError. */
  publish(params: Params, payload: Uint8Array): Promise<Published>;
}
