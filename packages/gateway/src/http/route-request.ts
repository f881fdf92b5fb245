import type { IncomingMessage } from 'node:http';
import { ANYONE, type Identity } from '../identity.ts';
import type { Asker } from '../admission.ts';
import { plainAddress } from '../net/addresses.ts';
import type { ClientOf, Clients } from '../net/clients.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Params, RouteRequest } from '../routes/request.ts';
import type { AskedTarget } from './request.ts';

/** A request of HTTP/1.1 as a route sees it. What a route does not ask for costs nothing. */
export class HttpRouteRequest implements RouteRequest, Asker {
  readonly params: Params;
  identity: Identity = ANYONE;
  readonly #request: IncomingMessage;
  readonly #target: AskedTarget;
  readonly #clients: Clients;
  #client: ClientOf | undefined;
  #query: URLSearchParams | undefined;
  /** Set once its body has been read. */
  asked: RouteRequest['asked'];

  constructor(request: IncomingMessage, target: AskedTarget, params: Params, clients: Clients) {
    this.#request = request;
    this.#target = target;
    this.#clients = clients;
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

  get scheme(): 'http' | 'https' {
    return this.#asking.scheme;
  }

  get remote(): Endpoint {
    const { address, port } = this.#asking;
    return { address, port };
  }

  get local(): Endpoint {
    const { localAddress = '', localPort = 0 } = this.#request.socket;
    return { address: plainAddress(localAddress), port: localPort };
  }

  get connection(): object {
    return this.#request.socket;
  }

  get #asking(): ClientOf {
    this.#client ??= this.#clients.of(this.#request);
    return this.#client;
  }
}
