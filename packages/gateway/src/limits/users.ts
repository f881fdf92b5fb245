/** A session, as far as it is counted. */
export interface Seated {
  /** A newer one of the same user takes its place. */
  close(why: 'replaced'): void;
}

/** What the settings `limits.user.*` say. */
export interface UserLimits {
  /** Undefined: no limit. */
  readonly sessions: number | undefined;
  /** Whether a session too many ends the user's oldest one; else it is refused. */
  readonly replace: boolean;
}

/** How many sessions each user has in this process. */
export class UserBook {
  readonly #limits: UserLimits;
  /** Those that have begun, the oldest first. */
  readonly #sessions = new Map<string, Set<Seated>>();
  /** Those that were let in and have not begun. */
  readonly #coming = new Map<string, number>();

  constructor(limits: UserLimits) {
    this.#limits = limits;
  }

  get isEnforced(): boolean {
    return this.#limits.sessions !== undefined;
  }

  /** One session more is about to begin; false where the user has too many. */
  expect(user: string): boolean {
    const { sessions = Infinity, replace } = this.#limits;
    const coming = this.#coming.get(user) ?? 0;
    if (!replace && (this.#sessions.get(user)?.size ?? 0) + coming >= sessions) return false;
    this.#coming.set(user, coming + 1);
    return true;
  }

  /** It has begun, or will not. */
  settle(user: string): void {
    const coming = (this.#coming.get(user) ?? 0) - 1;
    if (coming > 0) this.#coming.set(user, coming);
    else this.#coming.delete(user);
  }

  add(user: string, session: Seated): void {
    const all = this.#sessions.get(user) ?? new Set();
    this.#sessions.set(user, all.add(session));
    for (const oldest of all) {
      if (all.size <= (this.#limits.sessions ?? Infinity)) return;
      all.delete(oldest);
      oldest.close('replaced');
    }
  }

  remove(user: string, session: Seated): void {
    const all = this.#sessions.get(user);
    all?.delete(session);
    if (all?.size === 0) this.#sessions.delete(user);
  }
}
