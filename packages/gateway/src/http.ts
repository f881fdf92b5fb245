import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Admission } from './admission.ts';
import type { Answer } from './answer.ts';
import type { Counters } from './counters.ts';
import type { DemoFile } from './demo.ts';
import type { HttpErrorKey } from './errors.ts';
import { answerSocket, refuse, refuseSocket } from './http/answer.ts';
import { Body } from './http/body.ts';
import { failureKey } from './http/failure.ts';
import { readRequest } from './http/request.ts';
import { HttpRouteRequest } from './http/route-request.ts';
import type { Target } from './http/target.ts';
import { Turns } from './http/turns.ts';
import type { Inbound } from './inbound.ts';
import { joinFailure, publishFailure } from './layer-errors.ts';
import { listen, type Listening } from './listen.ts';
import type { Log } from './log.ts';
import type { RouteRequest } from './routes/request.ts';
import type { Opening, Posting, Route } from './routes/route.ts';
import type { Match, Router } from './routes/router.ts';
import type { Transport } from './transports/transport.ts';

/** Connections are checked for being too slow this often, in milliseconds, or four times in `limits.handshake`. */
const CHECK_MS = 1000;
/** Connections besides those of sessions: requests, and upgrades on their way to be refused. */
const SPARE_CONNECTIONS = 64;

export interface PublicOptions {
  readonly router: Router;
  readonly admission: Admission;
  readonly counters: Counters;
  readonly log: Log;
  readonly demo: ReadonlyMap<string, DemoFile>;
  /** Milliseconds for the headers of a request, and for all of it. */
  readonly handshake: number;
  readonly messageTime: number;
  /** Milliseconds that a connection stays without a request. */
  readonly keepAlive: number;
  /** Sessions of this process. */
  readonly sessions: number;
  /** Bytes of a published payload. */
  readonly payload: number;
  readonly inbound: Inbound;
  /** In what ways the sessions of a route reach their clients. */
  readonly transports: (route: Route) => readonly Transport[];
  /** Answers the request by `transport`, and begins the session that its route has made ready. */
  readonly begin: (transport: Transport, request: IncomingMessage, tcp: Socket, head: Buffer, opening: Opening) => HttpErrorKey | undefined;
}

/** A session that is asked for as it should be. */
interface AskedSession {
  readonly route: Route;
  readonly transport: Transport;
  readonly routeRequest: HttpRouteRequest;
}

/** The public port: judges every request strictly, publishes, hands upgrades to the transport, and serves the demo page. */
export class PublicServer {
  readonly #options: PublicOptions;
  readonly #server: Server;
  readonly #turns = new Turns();
  #listening: Listening | undefined;

  constructor(options: PublicOptions) {
    this.#options = options;
    const { handshake, messageTime, keepAlive } = options;
    this.#server = createServer({
      headersTimeout: handshake,
      requestTimeout: handshake + messageTime,
      connectionsCheckingInterval: Math.min(CHECK_MS, Math.ceil(handshake / 4)),
      keepAliveTimeout: keepAlive,
      requireHostHeader: false,
    });
    // Those beyond a count would be cut off without a word: readRequest counts them.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = options.sessions + SPARE_CONNECTIONS;
    this.#server.on('request', (request, response) => void this.#onRequest(request, response));
    this.#server.on('checkContinue', (request, response) => void this.#onRequest(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket as Socket, head));
    this.#server.on('connect', (_request, socket) => this.#onConnect(socket));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onClientError(error, socket));
  }

  /** Rejects with the system's error where the address cannot be had. */
  async listen(host: string, port: number): Promise<Listening> {
    this.#listening = await listen(this.#server, host, port);
    this.#server.on('error', (error) => this.#options.log.warn('a connection could not be accepted', { error: error.message }));
    return this.#listening;
  }

  /** Accepts no more connections, and ends those on which nothing happens. */
  stopListening(): void {
    this.#listening?.close();
    this.#server.closeIdleConnections();
  }

  close(): void {
    this.stopListening();
    this.#server.closeAllConnections();
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = readRequest(request);
    if (typeof target === 'string') return this.#refuse(response, target);
    const match = this.#options.router.match(target.path);
    if (match !== undefined) return this.#onRoute(request, response, target, match);
    const file = this.#options.demo.get(target.path);
    if (file === undefined) return this.#refuse(response, 'no_route');
    if (request.method !== 'GET' && request.method !== 'HEAD') return this.#refuse(response, 'method', { Allow: 'GET, HEAD' });
    response.writeHead(200, { ...file.headers }).end(request.method === 'HEAD' ? undefined : file.body);
  }

  async #onRoute(request: IncomingMessage, response: ServerResponse, target: Target, { route, params }: Match): Promise<void> {
    const { posting } = route;
    if (request.method === 'POST' && posting !== undefined) {
      const asked = new HttpRouteRequest(request, target, params);
      const fault = this.#postFault(asked, route, posting);
      return fault === undefined ? this.#post(request, response, asked, posting) : this.#refuse(response, fault);
    }
    if (request.method !== 'GET') return this.#refuse(response, 'method', { Allow: posting === undefined ? 'GET' : 'GET, POST' });
    // An upgrade that its Connection header does not ask for is malformed; without one no transport was asked for.
    return this.#refuse(response, route.fault(params) ?? (this.#transportOf(route, request) === undefined ? 'no_transport' : 'bad_request'));
  }

  #postFault(asked: HttpRouteRequest, route: Route, posting: Posting): HttpErrorKey | undefined {
    const refused = route.fault(asked.params) ?? this.#options.admission.admitPost(asked, () => posting.mayPost(asked));
    if (refused === 'not_allowed') this.#options.counters.publishFailures.not_allowed += 1;
    return refused;
  }

  async #post(request: IncomingMessage, response: ServerResponse, asked: RouteRequest, posting: Posting): Promise<void> {
    const body = new Body(request, this.#options.payload, this.#options.inbound);
    try {
      if (request.headers.expect !== undefined && Number(request.headers['content-length'] ?? 0) <= this.#options.payload) response.writeContinue();
      const answer = await this.#turns.take(request.socket, body.whole, async (payload) =>
        payload instanceof Uint8Array ? posting.post(asked, payload) : payload,
      );
      if (answer === undefined) return;
      if (typeof answer === 'string') return this.#refuse(response, answer);
      response.writeHead(answer.status, answer.headers).end(answer.body);
    } catch (error) {
      this.#refuse(response, failureKey(publishFailure(error), error, this.#options.log));
    } finally {
      body.release();
    }
  }

  #onUpgrade(request: IncomingMessage, tcp: Socket, head: Buffer): void {
    const asked = this.#judgeUpgrade(request);
    if (typeof asked === 'string') return this.#refuseUpgrade(tcp, asked);
    const { route, transport, routeRequest } = asked;
    const refused = this.#options.admission.admitSession(routeRequest, () => route.mayOpen(routeRequest));
    if (refused !== undefined) return this.#refuseUpgrade(tcp, refused);
    const opening = route.open(routeRequest);
    const accept = (ready: Opening | Answer): void => this.#accept(ready, tcp, (opened) => this.#options.begin(transport, request, tcp, head, opened));
    if (opening instanceof Promise) void this.#acceptLater(opening, tcp, accept);
    else accept(opening);
  }

  #judgeUpgrade(request: IncomingMessage): AskedSession | HttpErrorKey {
    const target = readRequest(request);
    if (typeof target === 'string') return target;
    const match = this.#options.router.match(target.path);
    if (match === undefined) return 'no_route';
    if (request.method !== 'GET') return 'method';
    const { route, params } = match;
    const transport = this.#transportOf(route, request);
    if (transport === undefined) return 'no_transport';
    return route.fault(params) ?? transport.fault(request) ?? { route, transport, routeRequest: new HttpRouteRequest(request, target, params) };
  }

  /** By what the request asks for. */
  #transportOf(route: Route, request: IncomingMessage): Transport | undefined {
    return this.#options.transports(route).find((transport) => transport.isAskedFor(request));
  }

  async #acceptLater(opening: Promise<Opening | Answer>, tcp: Socket, accept: (ready: Opening | Answer) => void): Promise<void> {
    // An error that nobody listens for ends the process.
    tcp.on('error', destroy);
    try {
      const ready = await opening;
      tcp.off('error', destroy);
      accept(ready);
    } catch (error) {
      this.#endUpgrade(tcp, failureKey(joinFailure(error), error, this.#options.log));
    }
  }

  #accept(ready: Opening | Answer, tcp: Socket, begin: (opening: Opening) => HttpErrorKey | undefined): void {
    if (!('status' in ready)) return this.#endUpgrade(tcp, begin(ready));
    this.#options.admission.settle();
    tcp.on('error', destroy);
    this.#options.counters.refused.not_allowed += 1;
    answerSocket(tcp, ready);
  }

  /** The place that was held for the session is its own now, or free. */
  #endUpgrade(socket: Duplex, fault: HttpErrorKey | undefined): void {
    this.#options.admission.settle();
    if (fault !== undefined) this.#refuseUpgrade(socket, fault);
  }

  #refuseUpgrade(socket: Duplex, fault: HttpErrorKey): void {
    socket.on('error', destroy);
    this.#refuseSocket(socket, fault, fault === 'method' ? { Allow: 'GET' } : undefined);
  }

  #onConnect(socket: Duplex): void {
    socket.on('error', destroy);
    this.#refuseSocket(socket, 'method', { Allow: 'GET' });
  }

  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    socket.on('error', destroy);
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') socket.destroy();
    else if (error.code === 'HPE_HEADER_OVERFLOW') this.#refuseSocket(socket, 'headers_too_large');
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') this.#refuseSocket(socket, 'timeout');
    else this.#refuseSocket(socket, 'bad_request');
  }

  #refuse(response: ServerResponse, key: HttpErrorKey, headers?: Readonly<Record<string, string>>): void {
    this.#options.counters.refused[key] += 1;
    refuse(response, key, headers);
  }

  #refuseSocket(socket: Duplex, key: HttpErrorKey, headers?: Readonly<Record<string, string>>): void {
    this.#options.counters.refused[key] += 1;
    refuseSocket(socket, key, headers);
  }
}

function destroy(this: Duplex): void {
  this.destroy();
}
