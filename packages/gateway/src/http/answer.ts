import { STATUS_CODES, validateHeaderValue } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answer } from '../answer.ts';
import { linger } from './linger.ts';

/**
 * The last answer of a connection where there is no response object, or where more is on its way: an upgrade, what could not be parsed, a body that nobody wants.
 */
export function answerSocket(socket: Duplex, { status, headers, body, sending }: Answer): void {
  sending?.begun(() => socket.destroy());
  if (!socket.writable) {
    socket.destroy();
    sending?.ended(false);
    return;
  }
  // An `Upgrade` is named in it, so that proxies keep it to themselves (RFC 9110 section 7.8).
  const lines = Object.entries({ ...headers, Connection: headers['Upgrade'] === undefined ? 'close' : 'close, Upgrade' }).flatMap(([name, values]) =>
    [values].flat().map((value) => {
      validateHeaderValue(name, value);
      return `${name}: ${value}\r\n`;
    }),
  );
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`, 'latin1');
  socket.end(body, (error?: Error | null) => sending?.ended(error === null || error === undefined));
  linger(socket);
}

/** The same without an answer. */
export function endSocket(socket: Duplex): void {
  socket.end();
  linger(socket);
}
