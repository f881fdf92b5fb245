import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** Below the range from which systems take the source ports of outgoing connections: a client that redials a stopped server could otherwise be given that very port, and hold it. Above the last of the ports that `fetch` refuses to ask (Fetch, "Port blocking"), which is 10080. */
const LOWEST = 10_081;
const HIGHEST = 32_000;
/** Those that this process was given: whoever chooses two before it uses the first has two. */
const given = new Set<number>();

/** A TCP port that nothing listens on, on any loopback address, and that was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    given.add(port);
    if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '::1'))) return port;
  }
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, 'listening');
    return (server.address() as AddressInfo).port === port;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EADDRINUSE' && host === '::1';
  } finally {
    if (server.listening) server.close();
  }
}
