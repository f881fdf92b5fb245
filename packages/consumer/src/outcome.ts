import type { ConsumerContext } from './context.ts';
import { AcceptConnection, CloseConnection, ConnectionClosedError, RejectConnection, Released, StopConsumer } from './errors.ts';
import type { Socket } from './socket.ts';

const INTERNAL = 1011;

/** What a handler that threw means for its socket. What is no word of ours is a fault of the handler: 1011 (before the accept 500), and logged with its route. */
export async function conclude(error: unknown, socket: Socket, route: string, { log, counts }: ConsumerContext): Promise<void> {
  if (error instanceof Released || error instanceof ConnectionClosedError || (await obey(error, socket))) return;
  counts.failed += 1;
  log.error('a consumer failed', { route, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  if (socket.accepted) await socket.close(INTERNAL, 'an error of the consumer');
  else if (!socket.closed) await socket.reject(500, 'an error of the consumer\n');
}

/** Does what a word of ours asks for; false for anything else, and for a refusal that comes too late. */
async function obey(error: unknown, socket: Socket): Promise<boolean> {
  if (error instanceof StopConsumer) await socket.close();
  else if (error instanceof CloseConnection) await socket.close(error.code, error.reason);
  else if (error instanceof AcceptConnection) await acceptOnce(error, socket);
  else if (error instanceof RejectConnection && !socket.accepted && !socket.closed) await socket.reject(error.status, error.body);
  else return false;
  return true;
}

async function acceptOnce({ subprotocol }: AcceptConnection, socket: Socket): Promise<void> {
  if (!socket.accepted && !socket.closed) await socket.accept(subprotocol === undefined ? {} : { subprotocol });
}
