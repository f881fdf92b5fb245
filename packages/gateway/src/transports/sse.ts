import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Greeting, Link } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import { accepts } from './sse/accept.ts';
import { EventFraming } from './sse/framing.ts';
import { EventStreamLink } from './sse/link.ts';
import type { Transport } from './transport.ts';

const TYPE = 'text/event-stream';
const HOP_HEADERS = [
  ['Transfer-Encoding', 'chunked'],
  ['Connection', 'close'],
] as const;
/** A client that was cut comes back after this, and up to as much more, in milliseconds. */
const RETRY_MS = 1000;

/** One object a kind, so that all streams of it share what is framed. */
const FRAMINGS = { exact: new EventFraming(false), json: new EventFraming(true) };

/** Event streams of one kind of route: turns a request that asks for one into a link. `content`: whether messages are JSON, or payloads that must come as they are. */
export class EventStreamTransport implements Transport {
  readonly name = 'sse';
  readonly headers = { 'Content-Type': TYPE, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };
  readonly #framing: EventFraming;

  constructor(content: keyof typeof FRAMINGS) {
    this.#framing = FRAMINGS[content];
  }

  isAskedFor({ headers }: IncomingMessage): boolean {
    return accepts(headers.accept, TYPE);
  }

  fault(): undefined {
    return undefined;
  }

  /** The connection ends with the stream. */
  accept(_request: IncomingMessage, tcp: Socket, _head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void {
    if (!tcp.writable) return void tcp.destroy();
    const framing = this.#framing;
    const headers = [...Object.entries(this.headers), ...HOP_HEADERS, ...(greeting?.headers ?? [])];
    const lines = ['HTTP/1.1 200 OK', ...headers.map(([name, value]) => `${name}: ${value}`)];
    tcp.cork();
    tcp.write(`${lines.join('\r\n')}\r\n\r\n`);
    tcp.write(framing.plain(`retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_MS)}\n\n`));
    new EventStreamLink(tcp, framing).attach(begin);
    process.nextTick(uncork, tcp);
  }
}

function uncork(tcp: Socket): void {
  tcp.uncork();
}
