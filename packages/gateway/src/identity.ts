/** Who a session's client is, and for how long its rights hold. */
export interface Identity {
  /** The name by which its own service knows it; undefined where nobody asked. */
  readonly user: string | undefined;
  /** When its rights end, in milliseconds of the process's clock that never goes back; undefined: never. */
  readonly until: number | undefined;
}

/** A client of a route that asks nobody who they are. */
export const ANYONE: Identity = { user: undefined, until: undefined };
