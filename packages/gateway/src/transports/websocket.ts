import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpErrorKey } from '../errors.ts';
import type { Inbound } from '../inbound.ts';
import type { ReadRates } from '../limits/pace.ts';
import type { Greeting, Link } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import type { ReadTurns } from './read-turns.ts';
import type { Transport } from './transport.ts';
import { asksForWebSocket, handshakeFault } from './websocket/handshake.ts';
import { Receiver, type ReceiveLimits } from './websocket/receiver.ts';
import { type SocketContext, WebSocketLink } from './websocket/socket.ts';

/** What a server proves that it speaks this protocol with (RFC 6455 section 1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export interface WebSocketOptions extends ReceiveLimits {
  readonly rates: ReadRates;
  /** Subprotocols that may be chosen, the client's first offer first. */
  readonly subprotocols: readonly string[];
}

/** WebSockets of one kind of route: turns an upgrade request whose handshake is in order into a link. */
export class WebSocketTransport implements Transport {
  readonly name = 'websocket';
  readonly headers = {};
  readonly #subprotocols: readonly string[];
  readonly #context: SocketContext;

  constructor({ message, fragments, subprotocols, rates }: WebSocketOptions, inbound: Inbound, turns: ReadTurns) {
    const limits = { message, fragments };
    this.#subprotocols = subprotocols;
    this.#context = { limits, inbound, turns, rates, now: () => performance.now(), spare: new Receiver(limits, inbound) };
  }

  isAskedFor({ headers }: IncomingMessage): boolean {
    return asksForWebSocket(headers);
  }

  fault(request: IncomingMessage): HttpErrorKey | undefined {
    return handshakeFault(request);
  }

  accept({ headers }: IncomingMessage, tcp: Socket, head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void {
    if (!tcp.readable || !tcp.writable) return void tcp.destroy();
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${hash('sha1', `${headers['sec-websocket-key']}${GUID}`, 'base64')}`,
    ];
    const protocol = greeting === undefined ? this.#choose(headers['sec-websocket-protocol']) : greeting.subprotocol;
    if (protocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    for (const [name, value] of greeting?.headers ?? []) lines.push(`${name}: ${value}`);
    tcp.write(`${lines.join('\r\n')}\r\n\r\n`);
    new WebSocketLink(tcp, this.#context).attach(begin, head);
  }

  #choose(offers: string | undefined): string | undefined {
    if (this.#subprotocols.length === 0) return undefined;
    return offers
      ?.split(',')
      .map((offer) => offer.trim())
      .find((offer) => this.#subprotocols.includes(offer));
  }
}
