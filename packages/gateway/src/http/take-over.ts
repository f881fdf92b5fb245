import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { destroyOnError } from './linger.ts';

/** What Node's server hangs on a connection. */
interface HttpSocket extends Socket {
  server?: { keepAliveTimeout: number };
  /** The response whose turn it is. */
  _httpMessage?: ServerResponse | null;
  parser?: {
    incoming: unknown;
    /** Looks at what an end of the connection would be here: an error in the middle of a message, nothing between two. It changes nothing. */
    finish(): Error | undefined;
    remove(): void;
    close(): void;
  } | null;
}

/** A response, and what Node's server notes of it. */
interface HttpResponse extends ServerResponse {
  /** The connection ends behind it, since its client says no more. */
  _last?: boolean;
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
export function takeOver(response: HttpResponse): Socket | undefined {
  const socket: HttpSocket | null = response.socket;
  if (socket === null || socket.destroyed) return undefined;
  const { parser } = socket;
  // Node's server lets go of request and response. One behind them, which nobody will answer, has its turn then.
  response._last = false;
  finish(response, socket.server);
  socket._httpMessage?.detachSocket(socket);
  // From the first listener of somebody else on, the parser is given nothing.
  socket.on('data', ignore);
  for (const event of EVENTS) dropListeners(socket, event);
  socket.parser = null;
  if (parser !== null && parser !== undefined) letGo(parser);
  socket.setTimeout(0);
  destroyOnError(socket);
  return socket;
}

/** Without a keep-alive: the socket would hold on to its timer, which nobody needs, also when that is cleared. */
function finish(response: HttpResponse, server: HttpSocket['server']): void {
  if (server === undefined) return void response.emit('finish');
  const { keepAliveTimeout } = server;
  server.keepAliveTimeout = 0;
  try {
    response.emit('finish');
  } finally {
    server.keepAliveTimeout = keepAliveTimeout;
  }
}

/** An old parser that still knew its request would keep it until all garbage is collected. */
function letGo(parser: NonNullable<HttpSocket['parser']>): void {
  parser.incoming = null;
  parser.remove();
  setImmediate(() => parser.close());
}

/** One after the other: `removeAllListeners` makes a hash table of where a socket has its listeners, which costs more. */
function dropListeners(socket: HttpSocket, event: string): void {
  for (const listener of socket.rawListeners(event)) socket.removeListener(event, listener as () => void);
}

function ignore(): void {}
