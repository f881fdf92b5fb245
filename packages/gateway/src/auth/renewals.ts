import type { End } from '../errors.ts';
import type { Identity } from '../identity.ts';
import type { Authority } from './authority.ts';

/** A session, as far as its rights go. */
export interface Renewable {
  readonly isOpen: boolean;
  readonly identity: Identity;
  identify(identity: Identity): void;
  close(how: 'expired' | 'not_allowed' | End): void;
}

/** Asks the application again about sessions whose rights have ended, with what their client sent when they began. */
export class Renewals {
  readonly grace: number;
  readonly #authority: Pick<Authority, 'askAgain'> | undefined;
  readonly #asking = new Set<Renewable>();

  /** `grace`: how long sessions stay without rights, in milliseconds. */
  constructor(grace: number, authority: Pick<Authority, 'askAgain'> | undefined) {
    this.grace = grace;
    this.#authority = authority;
  }

  /** Where the application does not answer, the session waits for the next call. */
  renew(session: Renewable): void {
    const { question } = session.identity;
    if (this.#authority === undefined || question === undefined || this.#asking.has(session)) return;
    this.#asking.add(session);
    void this.#authority
      .askAgain(question)
      .then((answer) => {
        if (session.isOpen && session.identity.question === question) settle(session, answer);
      })
      .finally(() => this.#asking.delete(session));
  }
}

function settle(session: Renewable, answer: Awaited<ReturnType<Authority['askAgain']>>): void {
  if (answer === 'auth_away') return;
  if (answer === 'not_allowed') return session.close('not_allowed');
  if (typeof answer === 'string') return session.close('expired');
  if (answer.user !== session.identity.user) return session.close('not_allowed');
  session.identify(answer);
}
