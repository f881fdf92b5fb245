import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** A client that comes back: it connects to `/socket`, joins its room `since` its position, and has what it missed. */
export interface Comeback {
  readonly port: number;
  readonly room: string;
  readonly since: string;
  /** How many messages it missed, and what only the last of them holds. */
  readonly missed: number;
  readonly last: string;
}

const MESSAGE = '"type":"message"';
const RECOVERED = '"recovered":true';

/** Resolves once everything has come, each message once; an error says what came instead. One raw connection, so that the load costs less than the server. */
export function comeBack(comeback: Comeback): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(comeback.port, '127.0.0.1');
  let got = '';
  let joined = false;
  socket.setEncoding('latin1');
  socket.write(upgrade(comeback.port));
  socket.on('data', (text: string) => {
    got += text;
    if (!joined && got.includes('\r\n\r\n')) {
      joined = true;
      join(socket, comeback);
    }
    if (!got.includes(comeback.last)) return;
    const messages = got.split(MESSAGE).length - 1;
    if (messages === comeback.missed && got.includes(RECOVERED)) resolve();
    else reject(new Error(`${messages} of ${comeback.missed} messages: ${got.slice(0, 500)}`));
  });
  socket.on('close', () => reject(new Error(`closed after ${got.slice(-500)}`)));
  socket.on('error', reject);
  return promise;
}

function upgrade(port: number): string {
  const key = randomBytes(16).toString('base64');
  return `GET /socket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: busgate.v1\r\n\r\n`;
}

/** One masked text frame (RFC 6455 section 5.2); the key is zero, which leaves the bytes as they are. */
function join(socket: Socket, { room, since }: Comeback): void {
  const payload = Buffer.from(JSON.stringify({ type: 'join', room, since }));
  if (payload.length > 125) throw new Error(`a join of ${payload.length} bytes: this client writes 125 at most`);
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
}
