import type { LayerStatus } from '@busgate/layer';
import { Origins } from './admission/origins.ts';
import type { Authority, Identifiable } from './auth/authority.ts';
import { isRefused, type Refused } from './errors.ts';
import { ANYONE, type Identity } from './identity.ts';
import type { Seat, Seats } from './limits/seats.ts';
import type { Log } from './log.ts';
import type { Memory } from './memory/memory.ts';
import type { Endpoint } from './net/endpoint.ts';

/** Which page asks, of which host, and from where. */
export interface AskingPage {
  readonly origin: string | undefined;
  readonly host: string;
  readonly remote: Endpoint;
}

/** Who asks. */
export interface Asker extends AskingPage, Identifiable {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** As it is found out. */
  identity: Identity;
}

/** Who was admitted, and the place that is kept. */
export interface Guest {
  readonly identity: Identity;
  readonly seat: Seat;
}

export interface AdmissionSources {
  readonly layer: { readonly status: LayerStatus };
  readonly memory: Pick<Memory, 'isFull'>;
  /** Whether the gateway takes nothing new any more. */
  readonly refuses: () => boolean;
  readonly sessions: () => number;
  /** Sessions of this process. */
  readonly limit: number;
  /** Origins whose pages may connect, as the setting has them. */
  readonly origins: readonly string[];
  /** Whether this gateway answers to a host, which may have a port. */
  readonly answersTo: (host: string) => boolean;
  readonly seats: Seats;
  /** Finds out who asks; undefined: nobody is asked. */
  readonly authority: Pick<Authority, 'identify'> | undefined;
  /** Whether cookies say who somebody is. */
  readonly believesCookies: boolean;
  readonly log: Pick<Log, 'warn'>;
}

/** As much of a header of a client as is logged. */
const MAX_LOGGED = 200;

/** Why whoever asks may not do what is asked; looked at once it is known who that is. */
export type Denial = () => Refused | undefined;

/**
 * Decides who comes in, cheapest first, nothing costly before it: draining, address and handshake rate, host, origin, identity, rights, capacity, memory, layer. The steps stand in that
 * order in {@link admitSession}, {@link admitQuestion} and {@link admitPost}, and nowhere else.
 */
export class Admission {
  readonly #sources: AdmissionSources;
  readonly #origins: Origins;
  /** Sessions that were admitted and have not begun. */
  #coming = 0;

  constructor(sources: AdmissionSources) {
    this.#sources = sources;
    this.#origins = new Origins(sources.origins);
  }

  /** A place for one session, to be given to {@link settle}; or why there is none. At once where it is known at once who asks. */
  admitSession(asker: Asker, denial: Denial): Refused | Seat | Promise<Refused | Seat> {
    const refused = this.#draining() ?? this.#rate(asker) ?? this.#room(asker) ?? this.#page(asker);
    return refused ?? this.#known(asker, () => denial() ?? this.#capacity() ?? this.#memory() ?? this.#reach() ?? this.#seat(asker));
  }

  /** The admitted session has begun, and has its seat for as long as it lasts; or it will not. */
  settle(seat: Seat): void {
    this.#coming -= 1;
    if (!seat.isTaken) seat.release();
  }

  /** What has one answer, and takes a place only while it waits for it: it costs what a session's handshake does, and counts as one. */
  admitQuestion(asker: Asker, denial: Denial): Refused | undefined | Promise<Refused | undefined> {
    return this.#draining() ?? this.#rate(asker) ?? this.#page(asker) ?? this.#known(asker, () => denial() ?? this.#memory() ?? this.#reach());
  }

  admitPost(asker: Asker, denial: Denial): Refused | undefined | Promise<Refused | undefined> {
    return this.#draining() ?? this.#page(asker) ?? this.#known(asker, () => denial() ?? this.#memory() ?? this.#reach());
  }

  /** The step that holds for every request, whatever it asks for. */
  host(host: string): 'host' | undefined {
    return this.#sources.answersTo(host) ? undefined : 'host';
  }

  /** Whether pages of this origin may connect. */
  allowsOrigin(origin: string, host: string): boolean {
    return this.#origins.allow(origin, host);
  }

  /** Whether pages may have their cookies sent. */
  get believesCookies(): boolean {
    return this.#sources.believesCookies;
  }

  /** What a browser may know of before its page asks. */
  admitPreflight(page: AskingPage): Refused | undefined {
    return this.host(page.host) ?? this.#origin(page);
  }

  /** Finds out who asks, once a request, and goes on then. */
  #known<T>(asker: Asker, then: () => T): Refused | T | Promise<Refused | T> {
    const found = asker.identity === ANYONE ? this.#sources.authority?.identify(asker) : undefined;
    if (found === undefined) return then();
    return found instanceof Promise ? found.then((late) => admitAs(asker, late, () => this.#draining() ?? then())) : admitAs(asker, found, then);
  }

  #draining(): Refused | undefined {
    return this.#sources.refuses() ? 'draining' : undefined;
  }

  #rate(asker: Asker): Refused | undefined {
    return this.#sources.seats.mayAsk(() => asker.remote.address) ? undefined : 'rate';
  }

  #room(asker: Asker): Refused | undefined {
    return this.#sources.seats.hasRoom(() => asker.remote.address) ? undefined : 'rate';
  }

  #page(asker: Asker): Refused | undefined {
    return this.host(asker.host) ?? this.#origin(asker) ?? this.#ownPage(asker);
  }

  /** Where a page asks from is looked at only when it is refused: it costs a call to the system, and memory for as long as the connection is there. */
  #origin(page: AskingPage): Refused | undefined {
    const { origin, host } = page;
    if (origin === undefined || this.#origins.allow(origin, host)) return undefined;
    this.#sources.log.warn('a page of an origin that is not allowed was refused: see the setting origins', {
      origin: origin.slice(0, MAX_LOGGED),
      host: host.slice(0, MAX_LOGGED),
      address: page.remote.address,
    });
    return 'origin';
  }

  /** A browser sends cookies for any page that asks; only for those of the gateway's own origin it may leave out which page it is (Fetch Metadata, section 2.3). */
  #ownPage({ method, origin, headers }: Asker): Refused | undefined {
    if (!this.#sources.believesCookies || origin !== undefined || headers['cookie'] === undefined) return undefined;
    return method === 'GET' && headers['sec-fetch-site'] === 'same-origin' ? undefined : 'origin';
  }

  #capacity(): Refused | undefined {
    return this.#sources.sessions() + this.#coming >= this.#sources.limit ? 'full' : undefined;
  }

  #memory(): Refused | undefined {
    return this.#sources.memory.isFull ? 'full' : undefined;
  }

  #reach(): Refused | undefined {
    return this.#sources.layer.status.state === 'connected' ? undefined : 'away';
  }

  #seat(asker: Asker): Refused | Seat {
    const seat = this.#sources.seats.take(() => asker.remote.address, asker.identity.user);
    if (seat === undefined) return 'rate';
    this.#coming += 1;
    return seat;
  }
}

function admitAs<T>(asker: Asker, found: Identity | Refused, then: () => T): Refused | T {
  if (isRefused(found)) return found;
  asker.identity = found;
  return then();
}
