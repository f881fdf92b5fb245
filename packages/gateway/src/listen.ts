import { type AddressInfo, createServer, Server as TcpServer } from 'node:net';

/** What a server listens on. */
export interface Listening {
  /** The same on every address. */
  readonly port: number;
  /** As they appear in a URL: `127.0.0.1:8080`, `[::1]:8080`. */
  readonly addresses: readonly string[];
  /** Accepts nothing more; connections stay, but for idle ones of HTTP. */
  close(): void;
  /** Accepts nothing more; connections stay, idle ones too. */
  leave(): void;
}

/** How an address is taken. */
export interface Taking {
  /** Connections are not read here: another process will. */
  readonly unread?: boolean;
  /** Together with other processes of this user that say so too: the system spreads connections over them. Only where {@link CAN_SHARE}. */
  readonly shared: boolean;
}

/** Whether several processes may listen on one address here. */
export const CAN_SHARE: boolean = process.platform === 'linux';

const ALONE: Taking = { shared: false };

/**
 * How a gateway's clients come in.
 * - `own`: nobody else listens on its port.
 * - `shared`: other processes listen on it too, and the system spreads connections over all.
 * - `handed`: it does not listen, and is given connections that somebody else has accepted.
 */
export type Door = 'own' | 'shared' | 'handed';

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
export async function listen(server: TcpServer, host: string, port: number, taking: Taking = ALONE): Promise<Listening> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listenOnce(server, host, port, taking);
    } catch (error) {
      if (port !== 0 || codeOf(error) !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * A port of `host` that nobody has, which others may then listen on together: shared listening alone would not notice that it is taken by strangers.
 * Rejects with the system's error where it is.
 */
export async function findFree(host: string, port: number): Promise<Pick<Listening, 'port' | 'addresses'>> {
  const server = createServer();
  const found = await listen(server, host, port);
  await new Promise<void>((resolve) => {
    server.once('close', resolve);
    found.close();
  });
  return found;
}

async function listenOnce(server: TcpServer, host: string, port: number, taking: Taking): Promise<Listening> {
  if (host !== 'localhost') return listening([await bind(server, host === '*' ? undefined : host, port, taking)]);
  const bound: TcpServer[] = [];
  for (const address of LOOPBACK) {
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: taking.unread === true };
    const doors = bound.length === 0 ? server : createServer(options, (socket) => server.emit('connection', socket));
    try {
      bound.push(await bind(doors, address, bound[0] === undefined ? port : portOf(bound[0]), taking));
    } catch (error) {
      if (NO_SUCH_ADDRESS.has(codeOf(error) ?? '') && (bound.length > 0 || address !== LOOPBACK.at(-1))) continue;
      await Promise.all(bound.map(closed));
      throw error;
    }
  }
  return listening(bound);
}

function bind(server: TcpServer, host: string | undefined, port: number, { shared }: Taking): Promise<TcpServer> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, reusePort: shared, ...(host === undefined ? {} : { host }) }, () => {
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
    leave: () => {
      for (const server of servers) TcpServer.prototype.close.call(server);
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
