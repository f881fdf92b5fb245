/** A message's payload: a JSON value, text that is not JSON, or bytes that are neither, in base64. Exactly one of them is there. */
export interface Content {
  readonly data?: unknown;
  readonly text?: string;
  readonly base64?: string;
}

export interface JoinFrame {
  readonly type: 'join';
  readonly room: string;
  readonly ref: number;
  /** The position to go on from. */
  readonly since?: string | undefined;
  /** How many of the newest messages of the history come first. */
  readonly last?: number | undefined;
}

export interface PublishFrame extends Content {
  readonly type: 'publish';
  readonly room: string;
  readonly ref: number;
  /** Publishes once, however often it is sent within five minutes. */
  readonly id?: string | undefined;
}

/** What a client may send on `/socket`. */
export type ClientFrame =
  | JoinFrame
  | { readonly type: 'leave'; readonly room: string }
  | PublishFrame
  | { readonly type: 'ping' }
  | { readonly type: 'token'; readonly token: string };

export interface JoinedFrame {
  readonly type: 'joined';
  readonly room: string;
  readonly ref?: number;
  /** Where the messages that follow go on from; only in rooms with history. */
  readonly position?: string | undefined;
  /** Whether everything since the position that was asked for follows. */
  readonly recovered?: boolean | undefined;
}

export interface MessageFrame extends Content {
  readonly type: 'message';
  readonly room: string;
  readonly position?: string;
}

/** Messages may have been lost, or `count` were dropped because this client was too slow. */
export interface GapFrame {
  readonly type: 'gap' | 'missed';
  readonly room: string;
  readonly after?: number;
  readonly count?: number;
}

interface ErrorFrame {
  readonly type: 'error';
  readonly code: string;
  readonly message?: string;
  readonly ref?: number;
}

/** What a gateway sends on `/socket`; types that are not here are left alone. */
export type ServerFrame =
  | { readonly type: 'welcome'; readonly session: string; readonly expires?: number }
  | JoinedFrame
  | { readonly type: 'left'; readonly room: string; readonly reason?: string }
  | { readonly type: 'published'; readonly room: string; readonly ref?: number; readonly position?: string }
  | { readonly type: 'pong' }
  | MessageFrame
  | GapFrame
  | { readonly type: 'token'; readonly expires?: number }
  | ErrorFrame
  | { readonly type: 'reconnect'; readonly after: number };
