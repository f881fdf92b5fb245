import { connect, type Socket } from 'node:net';
import { withResolvers, Patience } from '@busgate/layer/driver';
import { away } from './errors.ts';
import type { Server } from './url.ts';

/** What a server says of itself before anybody has logged in. */
export interface ServerGreeting {
  readonly tlsRequired: boolean;
  /** Other servers of its cluster, `host:port`. */
  readonly peers: readonly string[];
}

/** More than any INFO line has. */
const MAX_BYTES = 65_536;

/**
 * Waits until the server greets, on a connection of its own. A client library that is let dial a server which accepts and then says nothing keeps
 * that socket for ever: so it is let dial only a server that greets.
 */
export function knock({ host, port }: Server, timeoutMs: number): Promise<ServerGreeting> {
  const { promise, resolve, reject } = withResolvers<ServerGreeting>();
  const socket: Socket = connect({ host, port });
  const patience = new Patience(timeoutMs, () => reject(away(`${host}:${port} has not greeted within ${timeoutMs} ms`, 'unresponsive')));
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const end = text.indexOf('\r\n');
    if (end !== -1) resolve(readGreeting(text.slice(0, end), `${host}:${port}`));
    else if (text.length > MAX_BYTES) reject(new Error(`${host}:${port} is no NATS server`));
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error(`${host}:${port} closed the connection without a greeting`)));
  return promise.finally(() => {
    patience.end();
    socket.destroy();
  });
}

function readGreeting(line: string, where: string): ServerGreeting {
  if (!line.startsWith('INFO {')) throw new Error(`${where} is no NATS server`);
  const info = JSON.parse(line.slice('INFO '.length)) as { tls_required?: boolean; connect_urls?: string[] };
  return { tlsRequired: info.tls_required === true, peers: info.connect_urls ?? [] };
}
