import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { SessionTransport } from '../counters.ts';
import type { HttpErrorKey } from '../errors.ts';
import type { Greeting, Link } from '../session/link.ts';
import type { Session } from '../session/session.ts';

/** A way in which sessions of a route reach their clients. A route has several, and the request says which it wants. */
export interface Transport {
  readonly name: SessionTransport;
  /** What an answer says that begins a session; empty where the connection becomes something else. */
  readonly headers: Readonly<Record<string, string>>;
  /** How much a request wants it: 0, not at all, to 1; beyond that whatever else it wants. */
  wish(request: IncomingMessage): number;
  /** What is wrong with a request that asks for it. */
  fault(request: IncomingMessage): HttpErrorKey | undefined;
  /** Answers the request, with `greeting` where there is one. The session that `begin` makes has its link from then on. Does nothing where the client has gone meanwhile. */
  accept(request: IncomingMessage, tcp: Socket, head: Buffer, greeting: Greeting | undefined, begin: (link: Link) => Session): void;
}

/** What a request wants most, of several alike the first; undefined where it asks for none of them. */
export function wantedOf(transports: readonly Transport[], request: IncomingMessage): Transport | undefined {
  let wanted: Transport | undefined;
  let most = 0;
  for (const transport of transports) {
    const wish = transport.wish(request);
    if (wish <= most) continue;
    most = wish;
    wanted = transport;
  }
  return wanted;
}
