import { existsSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { ConnectionClosedError, http, type Data, type Socket } from '@busgate/consumer';

const HOLD_LOOK_MS = 5;

/** Prints what a handler is given. */
export function say(saw: string, { session }: { readonly session: string }, what: object): void {
  process.stdout.write(`${JSON.stringify({ saw, session, ...what })}\n`);
}

export const page = http(async (request) => new Response(`${request.method} ${await request.text()}`, { status: 201, headers: { 'x-one': '1' } }));

/** Answers a connect as its path says. */
export async function answer(socket: Socket): Promise<void> {
  switch (socket.request.path) {
    case '/app/refuse':
      return socket.close();
    case '/app/deny':
      return socket.reject(401, 'who?');
    case '/app/throw':
      throw new Error('of the application');
    case '/app/protocol':
      return socket.accept({ subprotocol: socket.request.subprotocols[1] as string, headers: [['x-one', '1']] });
    default:
      return socket.accept();
  }
}

/** Does what a client says; false where it wants the handler to come to its end. */
export async function obey(message: Data, socket: Socket): Promise<boolean> {
  const [word = '', ...rest] = typeof message === 'string' ? message.split(' ') : [];
  const argument = rest.join(' ');
  switch (word) {
    case 'hold':
      await tell(socket, 'holding');
      while (!existsSync(argument)) await pass(HOLD_LOOK_MS);
      await tell(socket, 'held');
      break;
    case 'burst':
      for (let n = 0; n < Number(argument); n += 1) await tell(socket, String(n));
      break;
    case 'close':
      await socket.close(Number(rest[0]), rest.slice(1).join(' '));
      break;
    case 'state':
      await socket.setState(argument);
      break;
    case 'join':
      await socket.rooms.join(argument);
      break;
    case 'throw':
      throw new Error('of the application');
    case 'return':
      return false;
    default:
      await tell(socket, message);
  }
  return true;
}

/** A client who has left meanwhile is no matter. */
async function tell(socket: Socket, message: Data): Promise<void> {
  try {
    await socket.send(message);
  } catch (error) {
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
}
