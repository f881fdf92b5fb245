import type { IncomingMessage } from 'node:http';
import { ANYONE, type Identity } from '../identity.ts';
import type { Asker } from '../admission.ts';
import type { Endpoint, Params, RouteRequest } from '../routes/request.ts';
import type { AskedTarget } from './request.ts';

/** A request of HTTP/1.1 as a route sees it. What a route does not ask for costs nothing. */
export class HttpRouteRequest implements RouteRequest, Asker {
  readonly scheme = 'http';
  readonly params: Params;
  readonly identity: Identity = ANYONE;
  readonly #request: IncomingMessage;
  readonly #target: AskedTarget;
  #query: URLSearchParams | undefined;

  constructor(request: IncomingMessage, target: AskedTarget, params: Params) {
    this.#request = request;
    this.#target = target;
    this.params = params;
  }

  /** Whom to tell that the client has gone. */
  left: (() => void) | undefined;

  onLeft(left: () => void): void {
    this.left = left;
  }

  get origin(): string | undefined {
    return this.#request.headers.origin;
  }

  get host(): string {
    return this.#target.host;
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get path(): string {
    return this.#target.path;
  }

  get queryString(): string {
    return this.#target.query;
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#target.query);
    return this.#query;
  }

  get headers(): RouteRequest['headers'] {
    return this.#request.headers;
  }

  get rawHeaders(): readonly string[] {
    return this.#request.rawHeaders;
  }

  get remote(): Endpoint {
    const { remoteAddress = '', remotePort = 0 } = this.#request.socket;
    return { address: remoteAddress, port: remotePort };
  }

  get local(): Endpoint {
    const { localAddress = '', localPort = 0 } = this.#request.socket;
    return { address: localAddress, port: localPort };
  }
}
