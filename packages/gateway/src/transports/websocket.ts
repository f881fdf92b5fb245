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
  /** Subprotocols that may be offered twice, since somebody else refuses that: see {@link handshakeFault}. */
  readonly mayRepeat: (subprotocol: string) => boolean;
}

/** What is spoken on `/socket`; on other routes it is offered by those who have a token to offer beside it. */
const SUBPROTOCOL = 'busgate.v1';

/** WebSockets of one kind of route: turns an upgrade request whose handshake is in order into a link. */
export class WebSocketTransport implements Transport {
  readonly name = 'websocket';
  readonly headers = {};
  readonly #context: SocketContext;
  readonly #mayRepeat: WebSocketOptions['mayRepeat'];

  constructor({ message, fragments, rates, mayRepeat }: WebSocketOptions, inbound: Inbound, turns: ReadTurns) {
    this.#mayRepeat = mayRepeat;
    const limits = { message, fragments };
    this.#context = { limits, inbound, turns, rates, now: () => performance.now(), spare: new Receiver(limits, inbound) };
  }

  wish({ headers }: IncomingMessage): number {
    return asksForWebSocket(headers) ? Infinity : 0;
  }

  fault(request: IncomingMessage): HttpErrorKey | undefined {
    return handshakeFault(request, this.#mayRepeat);
  }

  accept({ headers }: IncomingMessage, tcp: Socket, head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void {
    if (!tcp.readable || !tcp.writable) return void tcp.destroy();
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${hash('sha1', `${headers['sec-websocket-key']}${GUID}`, 'base64')}`,
    ];
    const protocol = greeting?.subprotocol ?? chosen(headers['sec-websocket-protocol']);
    if (protocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    for (const [name, value] of greeting?.headers ?? []) lines.push(`${name}: ${value}`);
    // Values of headers are Latin-1, as they came (RFC 9110 section 5.5).
    tcp.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    new WebSocketLink(tcp, this.#context).attach(begin, head);
  }
}

/** The one that is spoken, where it is offered: a browser gives up where one of several was to be chosen and none was (WebSockets Standard, "establish a WebSocket connection"). */
function chosen(offers: string | undefined): string | undefined {
  return offers?.split(',').some((offer) => offer.trim() === SUBPROTOCOL) === true ? SUBPROTOCOL : undefined;
}
