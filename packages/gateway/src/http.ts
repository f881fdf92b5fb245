import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { Connections } from './http/connection.ts';
import { clientErrorKey } from './http/failure.ts';
import { destroyOnError } from './http/linger.ts';
import { Parking } from './http/parked.ts';
import { PlainRequests, type PlainSources } from './http/plain.ts';
import { Upgrades, type UpgradeSources } from './http/upgrades.ts';
import { listen, type Listening, type Taking } from './listen.ts';
import { ProxiedConnections } from './net/proxied.ts';
import { asksForWebSocket } from './transports/websocket/handshake.ts';

/** Connections are checked for being too slow this often, in milliseconds, or four times in `limits.handshake`. */
const CHECK_MS = 1000;
/** Connections besides those of sessions: requests, and upgrades on their way to be refused. */
const SPARE_CONNECTIONS = 64;
/** A listener that is given up takes part in so many polls at most, however many connections come. */
const MOST_LAST_POLLS = 10_000;

export interface PublicOptions extends Omit<PlainSources, 'parking'>, UpgradeSources {
  /** Milliseconds for the headers of a request, and for all of it. */
  readonly handshake: number;
  readonly messageTime: number;
  /** Milliseconds that a connection stays without a request. */
  readonly keepAlive: number;
  /** Sessions of this process. */
  readonly sessions: number;
  /** Whose connections begin with the PROXY protocol; undefined: nobody's. */
  readonly proxied: readonly string[] | undefined;
}

/** The public port: hands each request to what serves it, in the order of its connection. */
export class PublicServer {
  readonly #options: PublicOptions;
  readonly #server: Server;
  /** Accepts connections: the server of HTTP itself, where nothing stands before it. */
  readonly #door: TcpServer;
  readonly #proxied: ProxiedConnections | undefined;
  readonly #connections: Connections;
  readonly #parking: Parking;
  readonly #plain: PlainRequests;
  readonly #upgrades: Upgrades;
  #listening: Listening | undefined;

  constructor(options: PublicOptions) {
    this.#options = options;
    this.#connections = new Connections(options.inbound);
    this.#parking = new Parking({
      keepAlive: options.keepAlive,
      isDraining: options.isDraining,
      serve: (socket) => this.accept(socket),
      owe: (change) => this.#connections.count(change),
    });
    this.#plain = new PlainRequests({ ...options, parking: this.#parking }, this.#connections);
    this.#upgrades = new Upgrades(options);
    this.#server = this.#createServer();
    this.#proxied = this.#createProxied();
    this.#door = this.#proxied === undefined ? this.#server : this.#createDoor(this.#proxied);
    this.#server.on('request', (request, response) => this.#plain.take(request, response));
    this.#server.on('checkContinue', (request, response) => this.#plain.take(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket as Socket, head));
    this.#server.on('connect', (_request, socket) => this.#end(socket as Socket, () => this.#upgrades.refuse(socket, 'method', { Allow: 'GET' })));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onClientError(error, socket as Socket));
  }

  /** Rejects with the system's error where the address cannot be had. */
  async listen(host: string, port: number, taking?: Taking): Promise<Listening> {
    this.#listening = await listen(this.#door, host, port, taking);
    this.#door.on('error', (error) => this.#options.log.warn('a connection could not be accepted', { error: error.message }));
    return this.#listening;
  }

  /** Resolves when every request that has begun is answered. */
  answered(): Promise<void> {
    return this.#connections.none();
  }

  /** Serves a connection that another process, or another server of this one, has accepted, or one that was something else for a time. */
  accept(socket: Socket): void {
    this.#door.emit('connection', socket);
    // It was accepted without being read.
    socket.resume();
  }

  /**
   * Accepts no more connections, once those that wait for it are accepted; all that there are stay. The system resets those that wait when their listener
   * closes, and a poll accepts only one of them: it closes after a poll that found none, at the latest after {@link MOST_LAST_POLLS}.
   */
  leave(): void {
    let taken = 0;
    const take = (): unknown => (taken += 1);
    this.#door.on('connection', take);
    const look = (polls: number, before: number): void => {
      if (polls < MOST_LAST_POLLS && (polls < 2 || taken > before)) setImmediate(look, polls + 1, taken);
      else {
        this.#door.off('connection', take);
        this.#listening?.leave();
      }
    };
    look(0, 0);
  }

  /** Past those that there are, only a few at a time are accepted and told why they are refused: others are closed as they come. Undone with false. */
  hold(isHeld: boolean): void {
    const most = this.#options.sessions + SPARE_CONNECTIONS;
    if (isHeld) this.#door.getConnections((_error, count) => (this.#door.maxConnections = Math.min(most, count + SPARE_CONNECTIONS)));
    else this.#door.maxConnections = most;
  }

  /** Accepts no more connections, and ends those on which nothing happens. */
  stopListening(): void {
    this.#listening?.close();
    this.#server.closeIdleConnections();
    this.#parking.closeIdle();
  }

  close(): void {
    this.stopListening();
    this.#proxied?.close();
    this.#server.close();
    this.#server.closeAllConnections();
    this.#parking.close();
  }

  #createServer(): Server {
    const { handshake, messageTime, keepAlive, sessions } = this.#options;
    const server = createServer({
      headersTimeout: handshake,
      requestTimeout: handshake + messageTime,
      connectionsCheckingInterval: Math.min(CHECK_MS, Math.ceil(handshake / 4)),
      keepAliveTimeout: keepAlive,
      requireHostHeader: false,
      shouldUpgradeCallback: isSpoken,
    });
    // Those beyond a count would be cut off without a word: readRequest counts them.
    server.maxHeadersCount = 0;
    server.maxConnections = sessions + SPARE_CONNECTIONS;
    // Node looks for slow connections from then on, and others may accept them in its place.
    server.emit('listening');
    // A client that has ended its writing waits for its answer all the same.
    return Object.assign(server, { httpAllowHalfOpen: true });
  }

  #createProxied(): ProxiedConnections | undefined {
    const { proxied, handshake } = this.#options;
    if (proxied === undefined) return undefined;
    return new ProxiedConnections({
      trusted: proxied,
      patience: handshake,
      serve: (socket) => void this.#server.emit('connection', socket),
      refuse: (socket, why) => this.#end(socket, () => this.#upgrades.refuse(socket, why)),
    });
  }

  #createDoor(proxied: ProxiedConnections): TcpServer {
    const door = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => proxied.take(socket));
    door.maxConnections = this.#server.maxConnections;
    return door;
  }

  /** What is still owed on the connection could only be written into the new protocol: then the connection ends behind it, and the client comes back. */
  #onUpgrade(request: IncomingMessage, tcp: Socket, head: Buffer): void {
    const connection = this.#connections.find(tcp);
    if (connection?.isOpen === true) return this.#end(tcp);
    this.#connections.forget(tcp);
    this.#upgrades.take({ request, tcp, head, written: tcp.bytesWritten });
  }

  #onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const { code } = error;
    if (code === 'ECONNRESET' || code === 'EPIPE') socket.destroy();
    // While we do not read it is not the client that is late.
    else if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && this.#connections.find(socket)?.isHeld === true) this.#end(socket);
    else this.#end(socket, () => this.#upgrades.refuse(socket, clientErrorKey(error)));
  }

  /** Nothing more is read from the connection; it ends when what has begun there is answered, with `last` where there is one. */
  #end(socket: Socket, last?: () => void): void {
    destroyOnError(socket);
    this.#connections.of(socket).fail(last);
  }
}

/** An upgrade to what is not spoken here is ignored, and the request served as it is (RFC 9110 section 7.8). */
function isSpoken({ method, headers }: IncomingMessage): boolean {
  return method !== 'HEAD' && asksForWebSocket(headers);
}
