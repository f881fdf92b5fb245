import { createServer, type Socket } from 'node:net';
import { findFree, listen, type Listening } from '../listen.ts';
import type { Sharing } from './messages.ts';

/** The public port of several workers. */
export interface Door {
  readonly listening: Pick<Listening, 'port' | 'addresses'>;
  close(): void;
}

/**
 * Finds the port, for workers that then listen on it together; or takes it and hands over each connection unread, where the system cannot share a port.
 * Rejects with the system's error where the address cannot be had.
 */
export async function openDoor(host: string, port: number, sharing: Sharing, hand: (socket: Socket) => void): Promise<Door> {
  if (sharing === 'shared') return { listening: await findFree(host, port), close: () => undefined };
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, hand);
  const listening = await listen(server, host, port, { shared: false, unread: true });
  return { listening, close: () => listening.close() };
}
