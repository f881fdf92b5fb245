import { LayerError } from '../errors.ts';

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Paths of PEM files, and the name to expect in the server's certificate. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** Reads what the URLs of all brokers have in common. What it throws names the broker and what was wrong, and never the whole URL, which may hold secrets. */
export class UrlReader {
  readonly #broker: string;

  constructor(broker: string) {
    this.#broker = broker;
  }

  /** An INVALID_URL to throw. */
  invalid(what: string): LayerError {
    return new LayerError('INVALID_URL', `${this.#broker} URL: ${what}`);
  }

  /** Undoes percent-encoding. */
  decode(text: string, what: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      throw this.invalid(`${what} has a bad percent escape`);
    }
  }

  /** `host[:port]`, an IPv6 address in brackets. */
  address(text: string, defaultPort: number): Address {
    const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
    const port = Number(match?.[2] ?? defaultPort);
    if (match?.[1] === undefined || port < 1 || port > 65_535) {
      throw this.invalid(`host ${JSON.stringify(text)} is not host[:port], with a port from 1 to 65535`);
    }
    return { host: match[1].replaceAll(/^\[|\]$/g, ''), port };
  }

  /** The parameters `ca`, `cert`, `key` and `servername`; undefined where there is none of them. */
  tls(parameters: ReadonlyMap<string, string>): TlsFiles | undefined {
    const files: Record<string, string> = {};
    for (const name of ['ca', 'cert', 'key', 'servername']) {
      const value = parameters.get(name);
      if (value !== undefined) files[name] = value;
    }
    if ((files['cert'] === undefined) !== (files['key'] === undefined)) throw this.invalid('cert and key go together');
    return Object.keys(files).length > 0 ? files : undefined;
  }
}
