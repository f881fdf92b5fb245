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

/** Parameters that are not like the others. */
export interface ParameterKinds {
  readonly secrets?: readonly string[];
  readonly raw?: readonly string[];
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

  /**
   * What follows the `?`: each name one of `known`, none of them twice or empty; each value undone of its percent-encoding. Those of `raw` are answered as they stand. What follows the value of one of
   * `secrets` is not repeated in an error: it may be the rest of it, with an `&` that was not percent-encoded.
   */
  parameters(query: string, known: readonly string[], { secrets = [], raw = [] }: ParameterKinds = {}): ReadonlyMap<string, string> {
    const parameters = new Map<string, string>();
    for (const part of query.split('&').filter((text) => text !== '')) {
      const [name = '', ...rest] = part.split('=');
      const value = rest.join('=');
      if (!known.includes(name)) {
        const secret = secrets.findLast((candidate) => parameters.has(candidate));
        if (secret !== undefined)
          throw this.invalid(`a parameter after ${secret} is unknown, or an & in it is not percent-encoded (%26); there are ${known.join(', ')}`);
        throw this.invalid(`parameter ${JSON.stringify(name)} is unknown; there are ${known.join(', ')}`);
      }
      if (parameters.has(name)) throw this.invalid(`parameter ${name} is there twice`);
      if (value === '' && !raw.includes(name)) throw this.invalid(`parameter ${name} is empty`);
      parameters.set(name, raw.includes(name) ? value : this.decode(value, name));
    }
    return parameters;
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
