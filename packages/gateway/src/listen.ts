import type { Server } from 'node:http';
import { type AddressInfo, createServer, type Server as TcpServer } from 'node:net';

/** What a server listens on. */
export interface Listening {
  /** The same on every address. */
  readonly port: number;
  /** As they appear in a URL: `127.0.0.1:8080`, `[::1]:8080`. */
  readonly addresses: readonly string[];
  /** Accepts nothing more; connections stay. */
  close(): void;
}

/** Both loopback addresses, since `localhost` may mean either. */
const LOOPBACK = ['127.0.0.1', '::1'];
/** The system has no such address, which for one of the two loopback addresses is no fault. */
const NO_SUCH_ADDRESS = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);
/** Times that a port free on one loopback address and taken on the other is tried anew. */
const ATTEMPTS = 20;

/**
 * Makes `server` accept on `host`: `localhost` is both loopback addresses, `*` every interface, else an address or a host name. Port 0 takes a free one.
 * Rejects with the system's error where that fails.
 */
export async function listen(server: Server, host: string, port: number): Promise<Listening> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listenOnce(server, host, port);
    } catch (error) {
      if (port !== 0 || codeOf(error) !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error;
    }
  }
}

async function listenOnce(server: Server, host: string, port: number): Promise<Listening> {
  if (host !== 'localhost') return listening([await bind(server, host === '*' ? undefined : host, port)]);
  const bound: TcpServer[] = [];
  for (const address of LOOPBACK) {
    const doors = bound.length === 0 ? server : createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit('connection', socket));
    try {
      bound.push(await bind(doors, address, bound[0] === undefined ? port : portOf(bound[0])));
    } catch (error) {
      if (NO_SUCH_ADDRESS.has(codeOf(error) ?? '') && (bound.length > 0 || address !== LOOPBACK.at(-1))) continue;
      await Promise.all(bound.map(closed));
      throw error;
    }
  }
  return listening(bound);
}

function bind(server: TcpServer, host: string | undefined, port: number): Promise<TcpServer> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

function listening(servers: readonly TcpServer[]): Listening {
  const [first] = servers;
  return {
    port: first === undefined ? 0 : portOf(first),
    addresses: servers.map((server) => {
      const { address, family, port } = server.address() as AddressInfo;
      return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
    }),
    close: () => {
      for (const server of servers) server.close();
    },
  };
}

function closed(server: TcpServer): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function portOf(server: TcpServer): number {
  return (server.address() as AddressInfo).port;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
