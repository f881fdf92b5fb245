/** `worker.ts <port> <handshakes> <a second>`: a process of strangers, each of whom asks for a socket with a token that nobody has signed, from an address of its own. */
import { connect } from 'node:net';
import { work } from '../rig/work.ts';
import { STRANGER } from './tokens.ts';

/** Milliseconds between two groups of them. */
const TICK_MS = 5;

const [port = 0, handshakes = 0, perSecond = 0] = process.argv.slice(2).map(Number);

await work(async (begin) => {
  await begin();
  const began = performance.now();
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  let begun = 0;
  let done = 0;
  const settle = (): void => {
    done += 1;
    if (done === handshakes) resolve();
  };
  const timer = setInterval(() => {
    const due = Math.min(handshakes, Math.floor(((performance.now() - began) / 1000) * perSecond));
    for (; begun < due; begun += 1) ask(begun, settle);
    if (begun === handshakes) clearInterval(timer);
  }, TICK_MS);
  await answered;
  return handshakes;
});

/** Calls `settle` once it has been answered, whatever it was. */
function ask(index: number, settle: () => void): void {
  const socket = connect(port, '127.0.0.1');
  const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  socket.write(
    `GET /room/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ${address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: busgate.v1, busgate.token.${STRANGER}\r\n\r\n`,
  );
  socket.once('data', () => socket.destroy());
  socket.on('error', () => undefined);
  socket.once('close', settle);
}
