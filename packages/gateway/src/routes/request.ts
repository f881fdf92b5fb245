import type { Identity } from '../identity.ts';
import type { Endpoint } from '../net/endpoint.ts';

/** What the path of a request gave, by parameter, decoded. */
export type Params = Readonly<Record<string, string>>;

/** What a client asked for, and who it is: all that a route is given, whatever the wire will be. Valid until it is answered; keep no reference to it. */
export interface RouteRequest {
  readonly method: string;
  /** Over what the client asks, as far as is known. */
  readonly scheme: 'http' | 'https';
  /** As it was sent: its escapes are valid, and not decoded. */
  readonly path: string;
  readonly params: Params;
  /** What followed the first `?`, as it was sent. */
  readonly queryString: string;
  readonly query: URLSearchParams;
  /** What a body asks for in place of the query. */
  readonly asked?: Readonly<Record<string, unknown>> | undefined;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
  /** The client, and the address of ours that it asked. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly identity: Identity;
  /** What it came on: the same object for all requests of one connection. */
  readonly connection: object;
  /** `left` is called once should the client go before a session that is opened later is answered. */
  onLeft(left: () => void): void;
}

/** The trace that the client wants followed. Where it says several it says none: Node joins them. */
export function traceparentOf(headers: RouteRequest['headers']): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' ? traceparent : undefined;
}
