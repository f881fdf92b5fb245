import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { WorkerEvent } from './worker.ts';

export interface Posted {
  readonly event: WorkerEvent;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
  readonly path: string | undefined;
  readonly port: number | undefined;
  readonly answer: (status: number, body?: unknown, headers?: Record<string, string | string[]>) => void;
  readonly response: ServerResponse;
}

/** An HTTP server that answers events as the test says; a connect is accepted and all else done where it says nothing. */
export class TestBackend implements AsyncDisposable {
  readonly posts: Posted[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(handle: (posted: Posted) => unknown = () => undefined, port = 0): Promise<TestBackend> {
    const server = createServer();
    const backend = new TestBackend(server);
    server.on('request', (request, response) => void backend.#answer(request, response, handle));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/busgate?token=t`;
  }

  /** The events of this type that were posted. */
  of(type: string): Posted[] {
    return this.posts.filter(({ event }) => event.type === type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse, handle: (posted: Posted) => unknown): Promise<void> {
    const body = await text(request);
    const posted: Posted = {
      event: JSON.parse(body) as WorkerEvent,
      body,
      headers: request.headers,
      path: request.url,
      port: request.socket.remotePort,
      response,
      answer: (status, answer, headers = {}) => {
        response.writeHead(status, headers).end(typeof answer === 'string' || answer === undefined ? answer : JSON.stringify(answer));
      },
    };
    this.posts.push(posted);
    if (handle(posted) !== undefined) return;
    if (posted.event.type === 'websocket.connect') posted.answer(200, { replies: [{ type: 'websocket.accept' }] });
    else posted.answer(204);
  }
}
