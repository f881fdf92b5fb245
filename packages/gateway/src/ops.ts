import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { httpError } from './errors.ts';
import type { Readiness } from './health.ts';
import { answerSocket } from './http/answer.ts';
import { clientErrorKey } from './http/failure.ts';
import { listen, type Listening } from './listen.ts';
import type { OpsApi } from './ops/call.ts';
import { pageFiles } from './ops/page.ts';
import { ApiPort } from './ops/port.ts';
import type { StaticFile } from './static-files.ts';

/** A request has this long for its headers, in milliseconds. */
const HEADERS_TIMEOUT = 10_000;
const METHODS = 'GET, HEAD';

/** Whom the port answers for: one gateway, or several processes that are one to the outside. */
export interface OpsSource {
  /** The page of metrics, and its type. */
  readonly metrics: { readonly contentType: string; scrape(): Promise<string> };
  readonly readiness: () => Readiness | Promise<Readiness>;
  readonly api: OpsApi;
}

const HEALTH: ReadonlySet<string> = new Set(['/metrics', '/healthz', '/readyz']);

/** The operator's port: `/metrics`, `/healthz`, `/readyz`, and with a key the API and the page that asks it. It must never be public. */
export class OpsServer {
  #source: OpsSource;
  readonly #server: Server;
  readonly #api: ApiPort | undefined;
  readonly #files: ReadonlyMap<string, StaticFile>;
  /** Answers that are not sent yet. */
  readonly #answers = new Set<ServerResponse>();
  #listening: Listening | undefined;

  /** `key`: of the API; without one there is none. */
  constructor(source: OpsSource, key: string | undefined) {
    this.#source = source;
    this.#api = key === undefined ? undefined : new ApiPort(key);
    this.#files = key === undefined ? new Map() : pageFiles();
    this.#server = createServer(
      { headersTimeout: HEADERS_TIMEOUT, requestTimeout: HEADERS_TIMEOUT, connectionsCheckingInterval: 1000, requireHostHeader: false },
      (request, response) => {
        void this.#serve(request, response);
      },
    );
    this.#server.on('clientError', (error, socket) => this.#onClientError(error, socket));
  }

  /** From now on it answers for another. */
  answerFor(source: OpsSource): void {
    this.#source = source;
  }

  /** Rejects with the system's error where the address cannot be had. */
  async listen(host: string, port: number): Promise<Listening> {
    this.#listening = await listen(this.#server, host, port);
    return this.#listening;
  }

  close(): void {
    this.#listening?.close();
    this.#server.closeAllConnections();
  }

  /** What is no request is refused as a request is, unless an answer to another one has begun there. */
  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const hasBegun = [...this.#answers].some((answering) => answering.socket === socket && answering.headersSent);
    if (error.code === 'ECONNRESET' || hasBegun) socket.destroy();
    else answerSocket(socket, httpError(clientErrorKey(error)));
  }

  /** No error of a request may go further than this. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#answers.add(response);
    response.once('close', () => this.#answers.delete(response));
    try {
      if (request.httpVersion !== '1.0' && request.headers.host === undefined) refuse(response, 'bad_request');
      else await this.#answer(request, response);
    } catch {
      if (response.headersSent) response.destroy();
      else refuse(response, 'internal');
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (this.#api?.has(path) === true) return await this.#api.serve(request, response, this.#source.api);
    const file = this.#files.get(path);
    if (file === undefined && !HEALTH.has(path)) refuse(response, 'no_route');
    else if (request.method !== 'GET' && request.method !== 'HEAD') refuse(response, 'method', { Allow: METHODS });
    else if (file !== undefined) response.writeHead(200, file.headers).end(file.body);
    else if (path === '/metrics') await this.#answerMetrics(response);
    else if (path === '/healthz') answerJson(response, 200, { status: 'alive' });
    else await this.#answerReadiness(response);
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    const { metrics } = this.#source;
    const page = await metrics.scrape();
    answer(response, 200, metrics.contentType, page);
  }

  async #answerReadiness(response: ServerResponse): Promise<void> {
    const now = await this.#source.readiness();
    answerJson(response, now.ready ? 200 : 503, now.ready ? { status: 'ready' } : { status: 'not ready', reason: now.reason });
  }
}

function answerJson(response: ServerResponse, status: number, value: object): void {
  answer(response, status, 'application/json', `${JSON.stringify(value)}\n`);
}

function answer(response: ServerResponse, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length, 'Cache-Control': 'no-store' }).end(body);
}

function refuse(response: ServerResponse, key: 'bad_request' | 'no_route' | 'method' | 'internal', extra: Record<string, string> = {}): void {
  const { status, headers, body } = httpError(key, extra);
  response.writeHead(status, headers).end(body);
}
