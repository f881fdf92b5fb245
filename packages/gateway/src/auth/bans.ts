import type { Identity } from '../identity.ts';

/** What a ban is of: a user, a token by its `jti`, or a session by its id. */
export const BANNED_KINDS = ['user', 'token', 'session'] as const;
export type BannedKind = (typeof BANNED_KINDS)[number];

/** Times in milliseconds since 1970. */
export interface Ban {
  readonly of: BannedKind;
  readonly name: string;
  readonly at: number;
  readonly until: number;
  /** Of a user: also what was issued after it. */
  readonly all: boolean;
}

/** Forgotten ones are looked for when there are twice as many as were left at the last look, and this many at least. */
const MIN_SWEEP = 1024;

/** Whether a ban is of this client, by its user or its token, whenever that ends. */
export function isBanned({ user, token, issuedAt }: Identity, { of, name, at, all }: Ban): boolean {
  if (of !== 'user') return of === 'token' && token === name;
  // What was issued in the second of the ban may have been issued before it: `iat` says no more.
  return user === name && (all || issuedAt === undefined || issuedAt <= at);
}

/** The bans in force. Where there are none they cost nothing. */
export class Bans {
  readonly #now: () => number;
  readonly #bans: Readonly<Record<BannedKind, Map<string, Ban>>> = { user: new Map(), token: new Map(), session: new Map() };
  #size = 0;
  #sweepAt = MIN_SWEEP;

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A ban of the same takes the place of the one before. */
  add(ban: Ban): void {
    const bans = this.#bans[ban.of];
    if (!bans.has(ban.name)) this.#size += 1;
    bans.set(ban.name, ban);
    if (this.#size >= this.#sweepAt) this.#sweep();
  }

  /** Whether a client may no longer be served. A session that is banned has ended, and no other one has its id. */
  has(identity: Identity): boolean {
    const { user, token } = identity;
    if (this.#size === 0) return false;
    if (token !== undefined && this.#find('token', token) !== undefined) return true;
    const ban = user === undefined ? undefined : this.#find('user', user);
    return ban !== undefined && isBanned(identity, ban);
  }

  /** Those in force. */
  *all(): Generator<Ban, void> {
    const now = this.#now();
    for (const bans of Object.values(this.#bans)) for (const ban of bans.values()) if (now < ban.until) yield ban;
  }

  #find(kind: BannedKind, name: string): Ban | undefined {
    const ban = this.#bans[kind].get(name);
    return ban !== undefined && this.#now() < ban.until ? ban : undefined;
  }

  #sweep(): void {
    const now = this.#now();
    for (const bans of Object.values(this.#bans)) for (const [name, { until }] of bans) if (until <= now) bans.delete(name);
    this.#size = Object.values(this.#bans).reduce((sum, { size }) => sum + size, 0);
    this.#sweepAt = Math.max(MIN_SWEEP, this.#size * 2);
  }
}
