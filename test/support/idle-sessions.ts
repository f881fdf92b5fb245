import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { request } from '../../packages/gateway/test/support/raw.ts';
import type { GatewayProcess } from './processes.ts';
import { until } from './until.ts';

/** Connections that are opened together. */
const AT_ONCE = 100;

/** A request for a stream or an answer of that type. */
export const get = (path: string, accept: string): string => request(`GET ${path} HTTP/1.1`, 'Host: localhost', `Accept: ${accept}`);

/** A request for a poll that waits: it knows all that there is. `path` ends where its query goes on. */
export async function waitingPoll(gateway: GatewayProcess, path: string): Promise<string> {
  const { cursor } = (await (await fetch(gateway.http(`${path}poll=0`))).json()) as { cursor: string };
  return get(`${path}poll=60&since=${cursor}`, 'application/json');
}

/** Connections to a gateway whose client asks for something once, and reads nothing of what comes. */
export class IdleSessions implements AsyncDisposable {
  readonly #gateway: GatewayProcess;
  readonly #transport: string;
  readonly #text: string;
  readonly #sockets: Socket[] = [];

  /** `transport`: as the metrics name it. `text`: what each sends. */
  constructor(gateway: GatewayProcess, transport: string, text: string) {
    this.#gateway = gateway;
    this.#transport = transport;
    this.#text = text;
  }

  /** Resolves once the gateway has so many more. */
  async open(count: number): Promise<void> {
    for (const all = this.#sockets.length + count; this.#sockets.length < all;) {
      const next = Array.from({ length: Math.min(AT_ONCE, all - this.#sockets.length) }, () => this.#connected());
      this.#sockets.push(...(await Promise.all(next)));
    }
    await this.#sessions(this.#sockets.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#sessions(0);
  }

  async #connected(): Promise<Socket> {
    const socket = connect(this.#gateway.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(this.#text);
    return socket;
  }

  async #sessions(count: number): Promise<void> {
    await until(
      `${count} sessions`,
      () => this.#gateway.metric(`busgate_sessions{transport="${this.#transport}"}`),
      (found) => found === count,
    );
  }
}
