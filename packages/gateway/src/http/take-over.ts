import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { destroyOnError } from './linger.ts';

/** What Node's server hangs on a connection. */
interface HttpSocket extends Socket {
  parser?: {
    /** Looks at what an end of the connection would be here: an error in the middle of a message, nothing between two. It changes nothing. */
    finish(): Error | undefined;
    remove(): void;
    close(): void;
  } | null;
}

/** What Node's server, request and response listen to, and we while the connection is theirs. */
const EVENTS = ['data', 'end', 'close', 'drain', 'error', 'timeout', 'resume', 'pause'];

/** Whether some of a further request was read with the one before it. */
export function hasMoreRead(socket: HttpSocket): boolean {
  return socket.parser?.finish() !== undefined;
}

/**
 * Takes the connection of the one response that is owed there from Node's server: parser, request, response and all that listens go, which is some kilobytes. Whoever takes it listens
 * in this same turn; its errors end it. To be called outside of the parser's own calls.
 */
export function takeOver(response: ServerResponse): Socket | undefined {
  const socket: HttpSocket | null = response.socket;
  if (socket === null || socket.destroyed) return undefined;
  const { parser } = socket;
  response.detachSocket(socket);
  // From the first listener of somebody else on, the parser is given nothing.
  socket.on('data', ignore);
  for (const event of EVENTS) socket.removeAllListeners(event);
  socket.parser = null;
  parser?.remove();
  setImmediate(() => parser?.close());
  socket.setTimeout(0);
  destroyOnError(socket);
  return socket;
}

function ignore(): void {}
