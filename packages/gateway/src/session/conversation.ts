import type { End } from '../errors.ts';

/** What a route makes of a session's frames. One object a session, held by it. */
export interface Conversation {
  /** The path of its route, as the settings say it. */
  readonly route: string;
  /** The rooms that the session is in just now. */
  readonly rooms: readonly string[];
  /** A text frame: valid UTF-8. Called only while the session is open. */
  text(data: Buffer): void;
  binary(data: Buffer): void;
  /** The gateway is stopping and will close the session; other gateways take it from `afterMs` on. */
  announceDrain(afterMs: number): void;
  /** The session's client has other rights from now on. */
  identified?(): void;
  /**
   * The session's link is gone, and no end was asked for. True keeps the session without one, until it is given another or closed: what its rooms
   * have for it meanwhile is dropped. Without it the session ends.
   */
  unlinked?(): boolean;
  /** The session has ended so, by either side's wish: nothing more is read or written. */
  end(end: End): void;
}

/** What waits for a session outside of its outbox. */
export interface Feed {
  /** Writes all of it, in order, but for what lossy rooms hold back. */
  flush(): void;
  /** Writes that too: it is the last moment to. */
  finish(): void;
  /** Nothing more comes from here on. What was not flushed is not due. */
  leave(): void;
}
