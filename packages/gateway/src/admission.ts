import type { LayerStatus } from '@busgate/layer';
import type { HttpErrorKey } from './errors.ts';

/** Who asks. */
export interface Asker {
  readonly origin: string | undefined;
  readonly host: string;
}

export interface AdmissionSources {
  readonly layer: { readonly status: LayerStatus };
  /** Whether the gateway takes nothing new any more. */
  readonly refuses: () => boolean;
  readonly sessions: () => number;
  /** Sessions of this process. */
  readonly limit: number;
  /** Origins whose pages may connect; none: that of the host that was asked. */
  readonly origins: readonly string[];
}

export type Refused = Extract<HttpErrorKey, 'draining' | 'origin' | 'not_allowed' | 'full' | 'away'>;

/** Whether whoever asks may do what is asked; looked at once it is known who that is. */
export type Right = () => boolean;

/**
 * Decides who comes in, cheapest first, nothing costly before it: draining, origin, rights, capacity, layer. The steps stand in that order in {@link admitSession} and
 * {@link admitPost}, and nowhere else.
 */
export class Admission {
  readonly #sources: AdmissionSources;
  readonly #origins: ReadonlySet<string>;
  /** Sessions that were admitted and have not begun. */
  #coming = 0;

  constructor(sources: AdmissionSources) {
    this.#sources = sources;
    this.#origins = new Set(sources.origins);
  }

  /** A place for one session, to be given back with {@link settle}; or why there is none. */
  admitSession(asker: Asker, mayOpen: Right): Refused | undefined {
    const refused = this.#draining() ?? this.#origin(asker) ?? right(mayOpen) ?? this.#capacity() ?? this.#reach();
    if (refused === undefined) this.#coming += 1;
    return refused;
  }

  /** The admitted session has begun, or will not. */
  settle(): void {
    this.#coming -= 1;
  }

  admitPost(asker: Asker, mayPost: Right): Refused | undefined {
    return this.#draining() ?? this.#origin(asker) ?? right(mayPost) ?? this.#reach();
  }

  #draining(): Refused | undefined {
    return this.#sources.refuses() ? 'draining' : undefined;
  }

  #origin({ origin, host }: Asker): Refused | undefined {
    return origin === undefined || this.#isAllowed(origin, host) ? undefined : 'origin';
  }

  #capacity(): Refused | undefined {
    return this.#sources.sessions() + this.#coming >= this.#sources.limit ? 'full' : undefined;
  }

  #reach(): Refused | undefined {
    return this.#sources.layer.status.state === 'connected' ? undefined : 'away';
  }

  /** Compared whole, as browsers send it: scheme, host and port (RFC 6454 section 6.2). Behind a proxy the scheme of the host that was asked is not known. */
  #isAllowed(origin: string, host: string): boolean {
    if (this.#origins.size > 0) return this.#origins.has(origin);
    const asked = host.toLowerCase();
    return origin === `https://${withoutPort(asked, ':443')}` || origin === `http://${withoutPort(asked, ':80')}`;
  }
}

function right(isAllowed: Right): Refused | undefined {
  return isAllowed() ? undefined : 'not_allowed';
}

/** Browsers leave out the port that the scheme implies. */
function withoutPort(host: string, port: string): string {
  return host.endsWith(port) ? host.slice(0, -port.length) : host;
}
