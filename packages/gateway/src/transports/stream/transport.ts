import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { SessionTransport } from '../../counters.ts';
import type { Greeting, Link } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import type { Transport } from '../transport.ts';
import { wishFor } from './accept.ts';
import { type StreamFraming, StreamLink } from './link.ts';

const HOP_HEADERS = [
  ['Transfer-Encoding', 'chunked'],
  ['Connection', 'close'],
] as const;

/** A kind of stream. */
export interface StreamWire {
  readonly name: SessionTransport;
  readonly type: string;
  /** One object a kind, so that all streams of it share what is framed. `exact`: messages are payloads that must come as they are; `json`: they are frames. */
  readonly framings: Readonly<Record<'exact' | 'json', StreamFraming>>;
  /** What comes first on each. */
  begin(): Uint8Array | undefined;
}

/** Streams of one kind of route: turns a request that asks for one into a link. */
export class StreamTransport implements Transport {
  readonly name: SessionTransport;
  readonly headers: Readonly<Record<string, string>>;
  readonly #wire: StreamWire;
  readonly #framing: StreamFraming;

  /** `content`: whether messages are JSON, or payloads that must come as they are. */
  constructor(wire: StreamWire, content: 'exact' | 'json') {
    this.name = wire.name;
    this.headers = { 'Content-Type': wire.type, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };
    this.#wire = wire;
    this.#framing = wire.framings[content];
  }

  wish({ headers }: IncomingMessage): number {
    return wishFor(this.#wire.type, headers.accept);
  }

  fault(): undefined {
    return undefined;
  }

  /** The connection ends with the stream. */
  accept(_request: IncomingMessage, tcp: Socket, _head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void {
    if (!tcp.writable) return void tcp.destroy();
    const headers = [...Object.entries(this.headers), ['Date', new Date().toUTCString()], ...HOP_HEADERS, ...(greeting?.headers ?? [])];
    const lines = ['HTTP/1.1 200 OK', ...headers.map(([name, value]) => `${name}: ${value}`)];
    tcp.cork();
    tcp.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    const first = this.#wire.begin();
    if (first !== undefined) tcp.write(first);
    new StreamLink(tcp, this.name, this.#framing).attach(begin);
    process.nextTick(uncork, tcp);
  }
}

function uncork(tcp: Socket): void {
  tcp.uncork();
}
