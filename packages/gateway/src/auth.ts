import type { ChannelLayer } from '@busgate/layer';
import { Attempts } from './auth/attempts.ts';
import { Authority, type AuthClock } from './auth/authority.ts';
import { Bans } from './auth/bans.ts';
import { Credentials, type CredentialSettings } from './auth/credentials.ts';
import { keysOf } from './auth/fetched-keys.ts';
import { JwtChecker } from './auth/jwt.ts';
import { Renewals } from './auth/renewals.ts';
import { type Client, Revocations } from './auth/revocations.ts';
import { Subrequest } from './auth/subrequest.ts';
import type { Config } from './config.ts';
import type { SubrequestSettings } from './config/auth.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import { Outgoing } from './outgoing.ts';

/** Bad tokens of one address that are looked at in a second. */
const BAD_TOKENS = 100;
/** Questions to the application at a time. */
const QUESTIONS = 64;
/** Bytes of its answer. */
const MAX_ANSWER = 65_536;

const CLOCK: AuthClock = { wall: () => Date.now(), running: () => performance.now() };

export interface AuthContext {
  readonly layer: ChannelLayer;
  readonly log: Log;
}

/** All that finds out who clients are, and who may no longer be one. Where the configuration asks nobody there is no authority, and nothing else of it does anything. */
export class Auth {
  readonly authority: Authority | undefined;
  /** What becomes of sessions whose rights end. */
  readonly renewals: Renewals;
  /** Whether a browser says by itself who somebody is, whatever page asks. */
  readonly believesCookies: boolean;
  readonly #bans = new Bans(CLOCK.wall);
  readonly #context: AuthContext;
  readonly #jwt: JwtChecker | undefined;
  readonly #application: { readonly outgoing: Outgoing; readonly subrequest: Subrequest; readonly headers: readonly string[] } | undefined;
  readonly #closing = new AbortController();
  #revocations: Revocations | undefined;

  constructor({ auth }: Pick<Config, 'auth'>, context: AuthContext) {
    const { jwt, http, query, cookie, grace } = auth;
    this.#context = context;
    this.#jwt = jwt && new JwtChecker({ settings: jwt, keys: keysOf(jwt.keys, context.log), now: CLOCK.wall });
    this.#application = http && this.#applicationOf(http);
    this.authority = this.#jwt === undefined && this.#application === undefined ? undefined : this.#authorityBy({ query, cookie });
    this.renewals = new Renewals(grace, this.authority);
    this.believesCookies = http !== undefined || cookie !== undefined;
  }

  /** Whether all bans are known, so that nobody is let in who should not be. */
  get isReady(): boolean {
    return this.authority === undefined || this.#revocations?.isKnown === true;
  }

  /** For the ops API; undefined where nobody is known. */
  get revocations(): Revocations | undefined {
    return this.#revocations;
  }

  /** From now on bans end the sessions of these. */
  watch(clients: { all(): Iterable<Client>; find(id: string): Client | undefined }): void {
    const { layer, log } = this.#context;
    if (this.authority === undefined) return;
    this.#revocations = new Revocations({ layer, log, clients, bans: this.#bans, now: CLOCK.wall });
    this.look();
  }

  /** Who was let in and has been banned before its session began. */
  isBanned(identity: Identity): boolean {
    return this.#bans.has(identity);
  }

  /** To be called often. */
  look(): void {
    this.#revocations?.look();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#revocations?.close(), this.#jwt?.close(), this.#application?.outgoing.close()]);
  }

  #authorityBy(settings: CredentialSettings): Authority {
    return new Authority({
      credentials: new Credentials(settings),
      jwt: this.#jwt,
      application: this.#application,
      bans: this.#bans,
      knowsBans: () => this.isReady,
      attempts: new Attempts(BAD_TOKENS, CLOCK.running),
      log: this.#context.log,
      clock: CLOCK,
    });
  }

  #applicationOf(settings: SubrequestSettings): { outgoing: Outgoing; subrequest: Subrequest; headers: readonly string[] } {
    const outgoing = new Outgoing(settings.url, QUESTIONS, MAX_ANSWER);
    const subrequest = new Subrequest({
      settings,
      ask: (headers, timeoutMs) => outgoing.ask({ method: 'GET', headers }, timeoutMs, this.#closing.signal),
      failed: (reason) => this.#context.log.warn('the application did not say who a client is: see auth.http', { reason }),
      now: CLOCK.wall,
    });
    return { outgoing, subrequest, headers: settings.headers };
  }
}
