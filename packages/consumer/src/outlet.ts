import type { Reply } from './wire.ts';

/** The way from a handler to the gateway that has its session. */
export interface Outlet {
  /** Hands on one reply. They arrive in the order of the calls; resolves when the broker, or the gateway itself, has taken it. */
  reply(reply: Reply): Promise<void>;
}
