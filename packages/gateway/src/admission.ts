import type { LayerStatus } from '@busgate/layer';
import { Origins } from './admission/origins.ts';
import type { HttpErrorKey } from './errors.ts';
import type { Identity } from './identity.ts';
import type { Seat, Seats } from './limits/seats.ts';
import type { Log } from './log.ts';
import type { Endpoint } from './net/endpoint.ts';

/** Which page asks, of which host, and from where. */
export interface AskingPage {
  readonly origin: string | undefined;
  readonly host: string;
  readonly remote: Endpoint;
}

/** Who asks. */
export interface Asker extends AskingPage {
  readonly identity: Identity;
}

export interface AdmissionSources {
  readonly layer: { readonly status: LayerStatus };
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
  readonly log: Pick<Log, 'warn'>;
}

/** As much of a header of a client as is logged. */
const MAX_LOGGED = 200;

export type Refused = Extract<HttpErrorKey, 'draining' | 'rate' | 'host' | 'origin' | 'not_allowed' | 'full' | 'away'>;

/** Whether whoever asks may do what is asked; looked at once it is known who that is. */
export type Right = () => boolean;

/**
 * Decides who comes in, cheapest first, nothing costly before it: draining, address and handshake rate, host, origin, rights, capacity, layer. The steps stand in that order in {@link admitSession} and
 * {@link admitPost}, and nowhere else.
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

  /** A place for one session, to be given to {@link settle}; or why there is none. */
  admitSession(asker: Asker, mayOpen: Right): Refused | Seat {
    const refused =
      this.#draining() ?? this.#address(asker) ?? this.host(asker.host) ?? this.#origin(asker) ?? right(mayOpen) ?? this.#capacity() ?? this.#reach();
    if (refused !== undefined) return refused;
    const seat = this.#sources.seats.take(() => asker.remote.address, asker.identity.user);
    if (seat === undefined) return 'rate';
    this.#coming += 1;
    return seat;
  }

  /** The admitted session has begun, and has its seat for as long as it lasts; or it will not. */
  settle(seat: Seat): void {
    this.#coming -= 1;
    if (!seat.isTaken) seat.release();
  }

  admitPost(asker: Asker, mayPost: Right): Refused | undefined {
    return this.#draining() ?? this.host(asker.host) ?? this.#origin(asker) ?? right(mayPost) ?? this.#reach();
  }

  /** The step that holds for every request, whatever it asks for. */
  host(host: string): 'host' | undefined {
    return this.#sources.answersTo(host) ? undefined : 'host';
  }

  /** Whether pages of this origin may connect. */
  allowsOrigin(origin: string, host: string): boolean {
    return this.#origins.allow(origin, host);
  }

  /** What a browser may know of before its page asks. */
  admitPreflight(page: AskingPage): Refused | undefined {
    return this.host(page.host) ?? this.#origin(page);
  }

  #draining(): Refused | undefined {
    return this.#sources.refuses() ? 'draining' : undefined;
  }

  #address(asker: Asker): Refused | undefined {
    return this.#sources.seats.mayAsk(() => asker.remote.address) ? undefined : 'rate';
  }

  #origin({ origin, host, remote }: AskingPage): Refused | undefined {
    if (origin === undefined || this.#origins.allow(origin, host)) return undefined;
    this.#sources.log.warn('a page of an origin that is not allowed was refused: see the setting origins', {
      origin: origin.slice(0, MAX_LOGGED),
      host: host.slice(0, MAX_LOGGED),
      address: remote.address,
    });
    return 'origin';
  }

  #capacity(): Refused | undefined {
    return this.#sources.sessions() + this.#coming >= this.#sources.limit ? 'full' : undefined;
  }

  #reach(): Refused | undefined {
    return this.#sources.layer.status.state === 'connected' ? undefined : 'away';
  }
}

function right(isAllowed: Right): Refused | undefined {
  return isAllowed() ? undefined : 'not_allowed';
}
