import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answer } from '../answer.ts';
import { type HttpErrorKey, httpError } from '../errors.ts';

/** A refused peer has this long to read the answer and go, in milliseconds. */
const LINGER_MS = 2000;

export function refuse(response: ServerResponse, key: HttpErrorKey, extra?: Readonly<Record<string, string>>): void {
  const { status, headers, body } = httpError(key, extra);
  response.writeHead(status, headers).end(body);
}

/** Before there is a response object: an upgrade, or what could not be parsed. What still comes is read and dropped, so that the answer is not lost to a reset. */
export function refuseSocket(socket: Duplex, key: HttpErrorKey, extra?: Readonly<Record<string, string>>): void {
  answerSocket(socket, httpError(key, extra));
}

export function answerSocket(socket: Duplex, { status, headers, body }: Answer): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  endSocket(socket, `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n`, body);
}

function endSocket(socket: Duplex, head: string, body: Buffer): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.write(head);
  socket.end(body);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}
