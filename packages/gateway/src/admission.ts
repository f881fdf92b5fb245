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

export type Refused = Extract<HttpErrorKey, 'draining' | 'origin' | 'full' | 'away'>;

/** Decides who comes in, in the order draining, origin, capacity, layer. */
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
  admitSession(asker: Asker): Refused | undefined {
    const refused = this.#judge(asker) ?? this.#capacity() ?? this.#reach();
    if (refused === undefined) this.#coming += 1;
    return refused;
  }

  /** The admitted session has begun, or will not. */
  settle(): void {
    this.#coming -= 1;
  }

  admitPublish(asker: Asker): Refused | undefined {
    return this.#judge(asker) ?? this.#reach();
  }

  #judge({ origin, host }: Asker): Refused | undefined {
    if (this.#sources.refuses()) return 'draining';
    return origin === undefined || this.#isAllowed(origin, host) ? undefined : 'origin';
  }

  /** Compared whole, as browsers send it: scheme, host and port (RFC 6454 section 6.2). Behind a proxy the scheme of the host that was asked is not known. */
  #isAllowed(origin: string, host: string): boolean {
    if (this.#origins.size > 0) return this.#origins.has(origin);
    const asked = host.toLowerCase();
    return origin === `https://${withoutPort(asked, ':443')}` || origin === `http://${withoutPort(asked, ':80')}`;
  }

  #capacity(): Refused | undefined {
    return this.#sources.sessions() + this.#coming >= this.#sources.limit ? 'full' : undefined;
  }

  #reach(): Refused | undefined {
    return this.#sources.layer.status.state === 'connected' ? undefined : 'away';
  }
}

/** Browsers leave out the port that the scheme implies. */
function withoutPort(host: string, port: string): string {
  return host.endsWith(port) ? host.slice(0, -port.length) : host;
}
