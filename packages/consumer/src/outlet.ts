import type { Reply } from './wire.ts';

/** The way from a handler to the gateway that has its session. */
export interface Outlet {
  /**
   * The gateway is this process, and dies with the handler: a message that a function has taken is handled with that. Absent: it is handled when the function asks for
   * the next one.
   */
  readonly isLocal?: boolean;
  /** Hands on one reply. They arrive in the order of the calls; resolves when the broker, or the gateway itself, has taken it. */
  reply(reply: Reply): Promise<void>;
}
