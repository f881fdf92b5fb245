import type { Value } from '@busgate/layer';
import type { ConnectEvent, HttpRequestEvent } from './wire.ts';

/** Who asks. */
export interface Asker {
  /** Where the gateway knows. */
  readonly user: string | null;
  /** What its token, or the application, says of the user besides; absent where that is nothing. */
  readonly info?: Value;
}

/** The request that a socket began with. */
export interface SocketRequest extends Asker {
  /** Decoded; `rawPath` as it came. */
  readonly path: string;
  readonly rawPath: string;
  readonly query: URLSearchParams;
  /** Repeated ones are joined with commas, as the Fetch standard does. */
  readonly headers: Headers;
  /** In the client's order. */
  readonly subprotocols: readonly string[];
  /** Empty for who connects by WebSocket with no Origin, such as programs. */
  readonly origin: string;
  readonly scheme: string;
  readonly client: readonly [address: string, port: number];
  readonly server: readonly [address: string, port: number];
  /** Of the trace that the request is part of (W3C Trace Context), where the gateway follows it: the gateway's own span. */
  readonly traceparent?: string;
}

export function socketRequest(event: ConnectEvent): SocketRequest {
  const headers = new Headers(event.headers.map(([name, value]): [string, string] => [name, value]));
  return {
    path: event.path,
    rawPath: event.raw_path,
    query: new URLSearchParams(event.query_string),
    headers,
    subprotocols: event.subprotocols,
    origin: headers.get('origin') ?? '',
    scheme: event.scheme,
    client: event.client,
    server: event.server,
    ...askerOf(event),
    ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
  };
}

export function askerOf({ user, info }: Pick<ConnectEvent, 'user' | 'info'>): Asker {
  return { user: user ?? null, ...(info !== undefined && { info }) };
}

/** As a request of the Fetch standard; `signal` aborts when the client leaves. Where the gateway follows a trace, its span stands in the header in place of the client's. */
export function fetchRequest(event: HttpRequestEvent, signal: AbortSignal): Request {
  const headers = new Headers(event.headers.map(([name, value]): [string, string] => [name, value]));
  if (event.traceparent !== undefined) headers.set('traceparent', event.traceparent);
  const host = headers.get('host') ?? 'localhost';
  const query = event.query_string === '' ? '' : `?${event.query_string}`;
  const hasBody = event.method !== 'GET' && event.method !== 'HEAD';
  const request = new Request(`${event.scheme}://${host}${event.raw_path}${query}`, {
    method: event.method,
    headers,
    signal,
    ...(hasBody ? { body: new Uint8Array(event.body) } : {}),
  });
  // Its own signal only follows the one it is given, and no longer once the request is collected as garbage, whoever still listens.
  return Object.defineProperty(request, 'signal', { value: signal });
}
