/** What the application is told of a request, when it is to say who makes it: all that its answer may depend on. */
export interface IdentityQuestion {
  /** The target as it was sent. */
  readonly uri: string;
  /** The client's. */
  readonly address: string;
  /** Names in lower case, and values, of the headers that it is given. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Who a client is, what is known of it, and for how long its rights hold. */
export interface Identity {
  /** The name by which its own service knows it; undefined where nobody asked, or nobody knows. */
  readonly user: string | undefined;
  /** What its service has workers told of it: a JSON value. */
  readonly info: unknown;
  /** The rooms that its token names, by pattern. */
  readonly join: readonly string[];
  readonly publish: readonly string[];
  /** When its rights end, in milliseconds of the process's clock that never goes back; undefined: never. */
  readonly until: number | undefined;
  /** When it was said who it is, in milliseconds since 1970, and the `jti` of the token that says it: bans look at them. */
  readonly issuedAt: number | undefined;
  readonly token: string | undefined;
  /** What the application is asked again when the rights end; undefined where a token said it. */
  readonly question: IdentityQuestion | undefined;
}

/** A client of whom nobody knows anything. */
export const ANYONE: Identity = {
  user: undefined,
  info: undefined,
  join: [],
  publish: [],
  until: undefined,
  issuedAt: undefined,
  token: undefined,
  question: undefined,
};

/** Whether nobody knows a client, who has shown no token either. */
export function isUnknown(identity: Identity): boolean {
  return identity === ANYONE || (identity.question !== undefined && identity.user === undefined);
}

/** How many whole seconds its rights hold from `now` on; undefined: for ever. Never more than they do. */
export function secondsLeft({ until }: Identity, now: number): number | undefined {
  return until === undefined ? undefined : Math.max(0, Math.floor((until - now) / 1000));
}
