import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Addresses, plainAddress } from './addresses.ts';
import type { Endpoint } from './endpoint.ts';
import { type Hop, readForwarded, readForwardedFor } from './forwarded.ts';

/** Who asks, and over what: as the connection says it, or as proxies do that are believed. */
export interface ClientOf extends Endpoint {
  readonly scheme: 'http' | 'https';
}

const PEER = Symbol('peer');

/** A connection, and whose it is where a proxy has said so in front of it. */
interface PeerTcp extends Socket {
  [PEER]?: Endpoint;
}

/** The connection is not that of who is connected, but this one's. */
export function setPeer(socket: Socket, peer: Endpoint): void {
  (socket as PeerTcp)[PEER] = peer;
}

/** Who is at the other end of a connection, as far as the connection itself says. */
function peerOf(socket: Socket): Endpoint {
  const { remoteAddress = '', remotePort = 0 } = socket;
  return (socket as PeerTcp)[PEER] ?? { address: plainAddress(remoteAddress), port: remotePort };
}

/**
 * Finds the client behind the proxies that are trusted. Read from the near end: as long as whoever is found is trusted, its word for who asked it is believed, and not
 * a step further. So what a client itself writes into these headers is never believed.
 */
export class Clients {
  readonly #trusted: Addresses;

  /** `trusted` as the setting `trusted_proxies` has it. */
  constructor(trusted: readonly string[]) {
    this.#trusted = new Addresses(trusted);
  }

  /** Where both headers are there `X-Forwarded-For` holds: most proxies write it, and hand on a `Forwarded` that the client made. */
  of({ socket, headers }: IncomingMessage): ClientOf {
    const peer = peerOf(socket);
    if (this.#trusted.isEmpty || !this.#trusted.has(peer.address)) return { ...peer, scheme: 'http' };
    const hops = hopsOf(headers);
    let client = peer;
    let at = hops.length;
    for (let hop = hops[at - 1]; hop?.from !== undefined && this.#trusted.has(client.address); hop = hops[at - 1]) {
      client = hop.from;
      at -= 1;
    }
    return { ...client, scheme: schemeOf(headers, hops, hops.length - at) };
  }

  /** The client's address where proxies said it; undefined where it is that of the connection, so that few sessions need to keep one. */
  behindProxy(request: IncomingMessage): string | undefined {
    if (this.#trusted.isEmpty) return undefined;
    const { address } = this.of(request);
    return address === plainAddress(request.socket.remoteAddress ?? '') ? undefined : address;
  }
}

function hopsOf(headers: IncomingMessage['headers']): Hop[] {
  const { forwarded } = headers;
  const chain = lineOf(headers['x-forwarded-for']);
  if (chain !== undefined) return readForwardedFor(chain);
  return forwarded === undefined ? [] : readForwarded(forwarded);
}

/** What the believed proxy says that is nearest to the client; `believed`: so many hops, the last ones. */
function schemeOf(headers: IncomingMessage['headers'], hops: readonly Hop[], believed: number): 'http' | 'https' {
  const protos = lineOf(headers['x-forwarded-proto'])?.split(',');
  // A proxy writes one of its own, or adds it to those before: then there is one for each.
  const proto = protos === undefined ? hops[hops.length - believed]?.proto : protos[Math.max(0, protos.length - Math.max(1, believed))];
  return proto?.trim().toLowerCase() === 'https' ? 'https' : 'http';
}

function lineOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}
