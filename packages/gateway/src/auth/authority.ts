import type { Refused } from '../errors.ts';
import { ANYONE, type Identity, type IdentityQuestion } from '../identity.ts';
import type { Log } from '../log.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Attempts } from './attempts.ts';
import type { Bans } from './bans.ts';
import type { TokenFault } from './claims.ts';
import type { Credentials, Presenting } from './credentials.ts';
import type { Grant } from './grant.ts';
import type { JwtChecker } from './jwt.ts';
import type { Subrequest } from './subrequest.ts';

const AUTHORIZATION = 'authorization';
const TWO_TOKENS: Refused = { key: 'bad_token', message: 'there is more than one token: send one' };

/** A request, as far as it says who makes it. */
export interface Identifiable extends Presenting {
  /** As it was sent. */
  readonly path: string;
  readonly remote: Endpoint;
}

/**
 * Why nobody is let in as anybody.
 * - `bad_token`: what was shown is not believed.
 * - `unauthorized`, `not_allowed`: as the application says.
 * - `auth_away`: who could tell does not answer.
 * - `rate`: this address shows too many that are not believed.
 */
export type AuthRefusal = 'bad_token' | 'unauthorized' | 'not_allowed' | 'auth_away' | 'rate';

export interface AuthoritySources {
  readonly credentials: Credentials;
  /** Checks what is a token. */
  readonly jwt: JwtChecker | undefined;
  /** Is asked about everything else, by these headers. */
  readonly application: { readonly subrequest: Subrequest; readonly headers: readonly string[] } | undefined;
  readonly bans: Bans;
  /** Whether all bans of the fleet are known. */
  readonly knowsBans: () => boolean;
  readonly attempts: Attempts;
  readonly log: Pick<Log, 'info'>;
  readonly clock: AuthClock;
}

export interface AuthClock {
  /** Milliseconds since 1970, and milliseconds that never go back. */
  readonly wall: () => number;
  readonly running: () => number;
}

/** Finds out who a client is. */
export class Authority {
  readonly #sources: AuthoritySources;

  constructor(sources: AuthoritySources) {
    this.#sources = sources;
  }

  get credentials(): Credentials {
    return this.#sources.credentials;
  }

  /** Who makes a request; at once where it says nothing and nobody is to be asked. */
  identify(request: Identifiable): Identity | Refused | Promise<Identity | AuthRefusal> {
    const { credentials, jwt, application, knowsBans, attempts } = this.#sources;
    if (!knowsBans()) return 'auth_away';
    const [token, ...others] = credentials.tokensOf(request);
    if (others.length > 0) {
      this.#refuse('two_tokens', request.remote.address);
      return TWO_TOKENS;
    }
    if (token !== undefined && jwt !== undefined) {
      const { address } = request.remote;
      return attempts.look(address, () => this.#check(jwt, token, address));
    }
    return application === undefined ? ANYONE : this.#decide(questionOf(request, application.headers, token));
  }

  /** Who the client of a session at this address is that shows another token; the application is asked as before, with that one. */
  async renew({ question }: Identity, token: string, address: string): Promise<Identity | AuthRefusal> {
    const { jwt, attempts } = this.#sources;
    if (jwt !== undefined) return await attempts.look(address, () => this.#check(jwt, token, address));
    return question === undefined ? 'bad_token' : await this.#decide(withToken(question, token));
  }

  /** Asks the application about a client again, whatever it has said before. */
  async askAgain(question: IdentityQuestion): Promise<Identity | AuthRefusal> {
    const { application } = this.#sources;
    if (application === undefined) return 'unauthorized';
    return this.#decided(question, await application.subrequest.ask(question));
  }

  async #check(jwt: JwtChecker, token: string, address: string): Promise<Identity | AuthRefusal> {
    const grant = await jwt.check(token);
    if (grant === 'away') return 'auth_away';
    if (typeof grant === 'string') return this.#refuse(grant, address);
    const identity = this.#identityOf(grant, undefined);
    return this.#sources.bans.has(identity) ? this.#refuse('revoked', address) : identity;
  }

  async #decide(question: IdentityQuestion): Promise<Identity | AuthRefusal> {
    const { application, bans } = this.#sources;
    if (application === undefined) return 'unauthorized';
    const isGood = (grant: Grant): boolean => !bans.has(this.#identityOf(grant, question));
    return this.#decided(question, await application.subrequest.decide(question, isGood));
  }

  #decided(question: IdentityQuestion, decision: Awaited<ReturnType<Subrequest['decide']>>): Identity | AuthRefusal {
    if (decision === 'away') return 'auth_away';
    if (typeof decision === 'string') return decision;
    const identity = this.#identityOf(decision, question);
    return this.#sources.bans.has(identity) ? 'unauthorized' : identity;
  }

  #identityOf({ user, info, join, publish, expiresAt, issuedAt, id }: Grant, question: IdentityQuestion | undefined): Identity {
    const { wall, running } = this.#sources.clock;
    const until = expiresAt === undefined ? undefined : running() + expiresAt - wall();
    return { user, info, join, publish, until, issuedAt, token: id, question };
  }

  #refuse(fault: TokenFault, address: string): 'bad_token' {
    this.#sources.attempts.failed(address);
    this.#sources.log.info('a token was refused', { reason: fault, address });
    return 'bad_token';
  }
}

function questionOf({ path, queryString, rawHeaders, remote }: Identifiable, names: readonly string[], token: string | undefined): IdentityQuestion {
  const headers: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? '';
    if (names.includes(name)) headers.push([name, rawHeaders[index + 1] ?? '']);
  }
  const question = { uri: queryString === '' ? path : `${path}?${queryString}`, address: remote.address, headers };
  const isNew = token !== undefined && names.includes(AUTHORIZATION) && !headers.some(([name]) => name === AUTHORIZATION);
  return isNew ? withToken(question, token) : question;
}

/** A browser cannot send the header with a WebSocket: so a token that stands elsewhere is passed on in it. */
function withToken(question: IdentityQuestion, token: string): IdentityQuestion {
  const others = question.headers.filter(([name]) => name !== AUTHORIZATION);
  return { ...question, headers: [...others, [AUTHORIZATION, `Bearer ${token}`]] };
}
