import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

import type { Wire } from './wires.ts';

/** One raw connection of WebSocket frames, so that the load costs less than any server. */
export class Client {
  readonly #socket: Socket;
  readonly #wire: Wire;
  readonly #heard: (text: string) => void;
  #isUpgraded = false;
  #isOpen = false;
  #waiting = '';

  private constructor(port: number, path: string, wire: Wire, heard: (text: string) => void, opened: () => void, failed: (error: Error) => void) {
    this.#wire = wire;
    this.#heard = heard;
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true).setEncoding('latin1');
    this.#socket.write(upgrade(port, wire.path(path)));
    this.#socket.on('data', (text: string) => this.#read(text, opened, failed));
    this.#socket.on('error', failed);
    this.#socket.on('close', () => failed(new Error(`the server closed a connection; the last it said: ${this.#waiting.slice(-300)}`)));
  }

  /** Resolves when it may speak; what goes wrong later ends the process. */
  static async open(port: number, path: string, wire: Wire, heard: (text: string) => void): Promise<Client> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (error: Error): void => {
      reject(error);
      if (client.#isOpen) throw error;
    };
    const client = new Client(port, path, wire, heard, resolve, fail);
    await promise;
    return client;
  }

  say(text: string): void {
    this.#write(TEXT, this.#wire.say(text));
  }

  /** One masked frame of up to 64 KiB; the key is zero, which leaves the text as it is. */
  #write(kind: number, text: string): void {
    const head = text.length < LONG ? 6 : 8;
    const frame = Buffer.alloc(head + text.length);
    frame[0] = kind;
    frame[1] = 0x80 | Math.min(text.length, LONG);
    if (text.length >= LONG) frame.writeUInt16BE(text.length, 2);
    frame.write(text, head, 'latin1');
    this.#socket.write(frame);
  }

  #read(text: string, opened: () => void, failed: (error: Error) => void): void {
    this.#waiting += text;
    if (!this.#isUpgraded) {
      const end = this.#waiting.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!this.#waiting.startsWith('HTTP/1.1 101')) return failed(new Error(`refused: ${this.#waiting.slice(0, 300)}`));
      this.#isUpgraded = true;
      this.#waiting = this.#waiting.slice(end + 4);
      if (this.#wire.hello === undefined) this.#open(opened);
      else this.#write(TEXT, this.#wire.hello);
    }
    for (let frame = this.#next(failed); frame !== undefined; frame = this.#next(failed)) {
      if (frame.kind === PING) this.#write(PONG, frame.text);
      else if (this.#isOpen) this.#heard(this.#wire.heard(frame.text));
      else this.#open(opened);
    }
  }

  #open(opened: () => void): void {
    this.#isOpen = true;
    opened();
  }

  /** The next whole frame: a server masks none, and none here is longer than 64 KiB (RFC 6455 section 5.2). */
  #next(failed: (error: Error) => void): { readonly kind: number; readonly text: string } | undefined {
    const waiting = this.#waiting;
    if (waiting.length < 2) return undefined;
    const short = waiting.charCodeAt(1);
    const head = short < LONG ? 2 : 4;
    const kind = waiting.charCodeAt(0);
    if ((kind !== TEXT && kind !== PING) || short > LONG) {
      failed(new Error(`a frame that nobody sent: ${waiting.slice(0, 100)}`));
      return undefined;
    }
    if (waiting.length < head) return undefined;
    const end = head + (short < LONG ? short : waiting.charCodeAt(2) * 256 + waiting.charCodeAt(3));
    if (waiting.length < end) return undefined;
    this.#waiting = waiting.slice(end);
    return { kind, text: waiting.slice(head, end) };
  }
}

/** In place of a length that needs two bytes more. */
const LONG = 126;
/** Whole frames, by their first byte. */
const TEXT = 0x81;
const PING = 0x89;
const PONG = 0x8a;

function upgrade(port: number, path: string): string {
  const key = randomBytes(16).toString('base64');
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
}
