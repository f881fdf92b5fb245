import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Admission } from '../admission.ts';
import type { Answer, StreamedAnswer, WaitingAnswer } from '../answer.ts';
import type { StaticFile } from '../static-files.ts';
import { isRefused, keyOf, type Refused } from '../errors.ts';
import type { Inbound } from '../inbound.ts';
import { joinFailure, publishFailure, type PublishFailureKey } from '../layer-errors.ts';
import type { Log } from '../log.ts';
import { refusal } from '../refusal.ts';
import type { Clients } from '../net/clients.ts';
import type { Asking, Posting, Route, Serving } from '../routes/route.ts';
import type { Match, Router } from '../routes/router.ts';
import { type Transport, wantedOf } from '../transports/transport.ts';
import { answerSocket } from './answer.ts';
import { announcedLength, Body, hasBody } from './body.ts';
import type { Connection, Connections } from './connection.ts';
import { corsHeaders, isPreflight, preflightAnswer } from './cors.ts';
import { Exchange, type ExchangeSources } from './exchange.ts';
import { failureKey } from './failure.ts';
import { type AskedTarget, readRequest } from './request.ts';
import { HttpRouteRequest } from './route-request.ts';
import { Streams, type StreamSources } from './streams.ts';

export interface PlainSources extends ExchangeSources, StreamSources {
  readonly router: Router;
  readonly admission: Admission;
  readonly log: Log;
  readonly demo: ReadonlyMap<string, StaticFile>;
  /** Bytes of a body of any route. */
  readonly payload: number;
  readonly inbound: Inbound;
  readonly clients: Clients;
  /** In what ways the sessions of a route reach their clients. */
  readonly transports: (route: Route) => readonly Transport[];
}

/** HEAD is GET without a body, and opens nothing. */
const READING = 'GET, HEAD';

/** Requests that are no upgrade. */
export class PlainRequests {
  readonly #sources: PlainSources;
  readonly #connections: Connections;
  readonly #streams: Streams;

  constructor(sources: PlainSources, connections: Connections) {
    this.#sources = sources;
    this.#streams = new Streams(sources);
    this.#connections = connections;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.of(request.socket);
    if (connection.isEnding) return void request.resume();
    const exchange = new Exchange(request, response, connection, this.#sources, (begun) => this.#serve(begun));
    // What waits for its turn is read all the same: in its stream each piece of a body costs some 200 bytes.
    if (connection.isBusy && hasBody(request)) exchange.body = this.#bodyOf(exchange, this.#sources.payload);
    if (connection.take(exchange)) return;
    exchange.drop();
    this.#refuseMore(request, connection);
  }

  /** No error of a request may go further than this. */
  async #serve(exchange: Exchange): Promise<void> {
    try {
      await this.#judge(exchange);
    } catch (error) {
      failureKey('internal', error, this.#sources.log);
      exchange.fail();
    }
  }

  async #judge(exchange: Exchange): Promise<void> {
    const { request } = exchange;
    const { admission, router, demo } = this.#sources;
    const target = readRequest(request);
    if (typeof target === 'string') {
      exchange.headers = corsHeaders(request, request.headers.host ?? '', admission);
      return exchange.refuse(target);
    }
    const { path, host } = target;
    exchange.headers = corsHeaders(request, host, admission);
    const foreign = admission.host(host);
    if (foreign !== undefined) return exchange.refuse(foreign);
    const match = router.match(path);
    if (match !== undefined) return await this.#onRoute(exchange, target, match);
    const file = demo.get(path);
    if (file !== undefined) this.#onFile(exchange, host, file);
    else exchange.refuse('no_route');
  }

  #onFile(exchange: Exchange, host: string, file: StaticFile): void {
    const { request } = exchange;
    if (isPreflight(request)) return this.#onPreflight(exchange, host, READING);
    if (!isReading(request)) return exchange.refuse('method', { Allow: READING });
    if (hasBody(request)) return exchange.refuse('bad_request');
    exchange.answer({ status: 200, ...file });
  }

  #onPreflight(exchange: Exchange, host: string, methods: string): void {
    const { request } = exchange;
    const { admission, clients } = this.#sources;
    const refused = admission.admitPreflight({ origin: request.headers.origin, host, remote: clients.of(request) });
    if (refused === undefined) exchange.answer(preflightAnswer(methods));
    else exchange.refuse(refused);
  }

  async #onRoute(exchange: Exchange, target: AskedTarget, match: Match): Promise<void> {
    const { request } = exchange;
    const { route, params } = match;
    const { posting, serving } = route;
    const asked = new HttpRouteRequest(request, target, params, this.#sources.clients);
    if (serving !== undefined && this.#transportOf(route, request) === undefined) return await this.#serveRoute(exchange, asked, route, serving);
    if (request.method === 'POST' && posting !== undefined) return await this.#post(exchange, asked, route, posting);
    const methods = posting === undefined ? READING : `${READING}, POST`;
    if (isPreflight(request)) return this.#onPreflight(exchange, target.host, methods);
    if (!isReading(request)) return exchange.refuse('method', { Allow: methods });
    if (hasBody(request)) return exchange.refuse('bad_request');
    await this.#onReading(exchange, asked, route);
  }

  /** A stream, or a question that has one answer. */
  async #onReading(exchange: Exchange, asked: HttpRouteRequest, route: Route): Promise<void> {
    const { request } = exchange;
    const transport = this.#transportOf(route, request);
    if (transport !== undefined && transport.name !== 'websocket') return await this.#streams.open(exchange, { request: asked, route, transport });
    if (transport === undefined && route.asking?.isAsked(asked) === true) return await this.#ask(exchange, asked, route, route.asking);
    const fault = route.fault(asked.params);
    if (fault !== undefined) return exchange.refuse(fault);
    // An upgrade that its Connection header does not ask for is malformed.
    if (transport !== undefined && request.method === 'GET') return exchange.refuse('bad_request');
    exchange.refuse(await this.#whyNoSession(asked, route));
  }

  /** Without a transport nothing begins. A client that was refused a WebSocket, and is not told why by its browser, finds it out so: whatever would refuse it does. */
  async #whyNoSession(asked: HttpRouteRequest, route: Route): Promise<Refused> {
    const { admission } = this.#sources;
    const seat = await admission.admitSession(asked, () => route.denial(asked));
    if (isRefused(seat)) return seat;
    admission.settle(seat);
    return 'no_transport';
  }

  /** The next one's turn comes when this one's answer has left: a client that does not read is sent no more. */
  async #ask(exchange: Exchange, asked: HttpRouteRequest, route: Route, asking: Asking): Promise<void> {
    const refused = route.fault(asked.params) ?? (await this.#sources.admission.admitQuestion(asked, () => asking.askDenial(asked)));
    if (refused !== undefined) return exchange.refuse(refused);
    await this.#answer(exchange, () => asking.ask(asked), joinFailure);
    await exchange.gone;
  }

  #transportOf(route: Route, request: IncomingMessage): Transport | undefined {
    return wantedOf(this.#sources.transports(route), request);
  }

  /** As a POST: the next one's turn comes when the body is handed on. */
  async #serveRoute(exchange: Exchange, asked: HttpRouteRequest, route: Route, serving: Serving): Promise<void> {
    const fault = await this.#sources.admission.admitPost(asked, () => undefined);
    if (fault !== undefined) return exchange.refuse(fault);
    const body = await this.#wholeBody(exchange, route);
    if (body !== undefined) void this.#answer(exchange, () => serving.serve(asked, body, (left) => exchange.watch(left)));
  }

  /** Undefined where there is none to hand on: it was refused, or its client has gone. */
  async #wholeBody(exchange: Exchange, { messageLimit }: Route): Promise<Uint8Array | undefined> {
    const { request } = exchange;
    exchange.body ??= this.#bodyOf(exchange, messageLimit);
    if (request.headers.expect !== undefined && announcedLength(request) <= messageLimit) exchange.proceed();
    const body = await exchange.body.whole;
    // One that waited for its turn was read before it was known what it is for.
    const fault = typeof body === 'string' ? body : (body?.length ?? 0) > messageLimit ? 'body_too_large' : undefined;
    if (fault === undefined) return body as Uint8Array | undefined;
    exchange.refuse(fault);
    return undefined;
  }

  /** The turn of the next request comes when this one's body is handed on, not when it is answered. */
  async #post(exchange: Exchange, asked: HttpRouteRequest, route: Route, posting: Posting): Promise<void> {
    const fault = await this.#postFault(asked, route, posting);
    if (fault !== undefined) return exchange.refuse(fault);
    const body = await this.#wholeBody(exchange, route);
    if (body === undefined) return;
    asked.asked = posting.askedBy?.(asked, body);
    if (asked.asked === undefined) void this.#answer(exchange, () => posting.post(asked, body));
    else await this.#onReading(exchange, asked, route);
  }

  async #postFault(asked: HttpRouteRequest, route: Route, posting: Posting): Promise<Refused | undefined> {
    const refused = route.fault(asked.params) ?? (await this.#sources.admission.admitPost(asked, () => posting.postDenial(asked)));
    if (refused !== undefined && keyOf(refused) === 'not_allowed') this.#sources.counters.publishFailures.not_allowed += 1;
    return refused;
  }

  async #answer(
    exchange: Exchange,
    made: () => Promise<Answer | StreamedAnswer | WaitingAnswer | Refused>,
    failureOf: (error: unknown) => PublishFailureKey = publishFailure,
  ): Promise<void> {
    try {
      const answer = await made();
      if (typeof answer === 'string' || 'key' in answer) exchange.refuse(answer);
      else if ('begin' in answer) exchange.wait(answer);
      else if ('pieces' in answer) await exchange.stream(answer);
      else exchange.answer(answer);
    } catch (error) {
      const key = failureKey(failureOf(error), error, this.#sources.log);
      if (key === 'internal') exchange.fail();
      else exchange.refuse(key);
    }
  }

  #bodyOf({ request }: Exchange, limit: number): Body {
    return new Body(request, limit, this.#sources.inbound);
  }

  /** The process holds as much as it may. */
  #refuseMore(request: IncomingMessage, connection: Connection): void {
    const { counters, admission } = this.#sources;
    request.resume();
    const answer = refusal(counters, 'full', corsHeaders(request, request.headers.host ?? '', admission));
    connection.end(() => answerSocket(request.socket, answer));
  }
}

function isReading({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}
