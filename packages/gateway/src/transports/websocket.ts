import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { HttpErrorKey } from '../errors.ts';
import type { Greeting, Link } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import type { Transport } from './transport.ts';
import { handshakeFault } from './websocket/handshake.ts';
import { GatewaySocket } from './websocket/socket.ts';

/** A peer that does not answer a close frame is cut off after this. */
const CLOSE_TIMEOUT_MS = 5000;
/** Reads in which one frame may come, however short it is; each holds a buffer until the frame is whole. */
const MIN_PIECES = 1024;
/** A frame may come in reads of so few bytes each, on average. */
const BYTES_A_PIECE = 256;

export interface WebSocketLimits {
  /** Bytes of one message. */
  readonly message: number;
  /** Frames of one message. */
  readonly fragments: number;
  /** Subprotocols that may be chosen, the client's first offer first. */
  readonly subprotocols: readonly string[];
}

/** WebSockets of one kind of route: turns an upgrade request whose handshake is in order into a link. */
export class WebSocketTransport implements Transport {
  readonly name = 'websocket';
  readonly #server: ReturnType<typeof createServer>;
  readonly #subprotocols: readonly string[];
  /** Of the request that is just being answered. */
  #greeting: Greeting | undefined;

  constructor(limits: WebSocketLimits) {
    this.#subprotocols = limits.subprotocols;
    this.#server = createServer(limits, (offered) => this.#choose(offered));
    this.#server.on('headers', (lines) => this.#addHeaders(lines));
  }

  isAskedFor({ headers }: IncomingMessage): boolean {
    return headers.upgrade !== undefined;
  }

  fault(request: IncomingMessage): HttpErrorKey | undefined {
    return handshakeFault(request);
  }

  accept(request: IncomingMessage, tcp: Socket, head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void {
    this.#greeting = greeting;
    this.#server.handleUpgrade(request, tcp, head, (socket) => socket.attach(tcp, begin));
    this.#greeting = undefined;
  }

  #choose(offered: ReadonlySet<string>): string | false {
    const greeting = this.#greeting;
    if (greeting !== undefined) return greeting.subprotocol ?? false;
    return [...offered].find((offer) => this.#subprotocols.includes(offer)) ?? false;
  }

  #addHeaders(lines: string[]): void {
    for (const [name, value] of this.#greeting?.headers ?? []) lines.push(`${name}: ${value}`);
  }
}

function createServer({ message, fragments }: WebSocketLimits, choose: (offered: ReadonlySet<string>) => string | false) {
  const options = {
    noServer: true,
    WebSocket: GatewaySocket,
    clientTracking: false,
    autoPong: false,
    perMessageDeflate: false,
    maxPayload: message,
    maxFragments: fragments,
    maxBufferedChunks: MIN_PIECES + Math.ceil(message / BYTES_A_PIECE),
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: choose,
  };
  return new WebSocketServer<typeof GatewaySocket>(options);
}
