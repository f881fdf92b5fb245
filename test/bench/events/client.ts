import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** Characters of a message. */
const SIZE = 128;
/** A frame with 128 bytes of text from a server, which does not mask (RFC 6455 section 5.2). */
const FRAME = 4 + SIZE;

/** One raw connection that counts frames of 128 characters, so that the load costs less than any server. */
export class Client {
  readonly #socket: Socket;
  readonly #heard: (text: string) => void;
  #isOpen = false;
  #waiting = '';

  private constructor(port: number, path: string, heard: (text: string) => void, opened: () => void, failed: (error: Error) => void) {
    this.#heard = heard;
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true).setEncoding('latin1');
    this.#socket.write(upgrade(port, path));
    this.#socket.on('data', (text: string) => this.#read(text, opened, failed));
    this.#socket.on('error', failed);
    this.#socket.on('close', () => failed(new Error(`the server closed a connection; the last it said: ${this.#waiting.slice(-300)}`)));
  }

  /** Resolves with the 101; what goes wrong later ends the process. */
  static async open(port: number, path: string, heard: (text: string) => void): Promise<Client> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (error: Error): void => {
      reject(error);
      if (client.#isOpen) throw error;
    };
    const client = new Client(port, path, heard, resolve, fail);
    await promise;
    return client;
  }

  /** One masked frame; the key is zero, which leaves the text as it is. */
  say(text: string): void {
    const frame = Buffer.alloc(8 + SIZE);
    frame.writeUInt32BE((0x81_fe_00_00 | SIZE) >>> 0, 0);
    frame.write(text.padEnd(SIZE, '.'), 8, 'latin1');
    this.#socket.write(frame);
  }

  #read(text: string, opened: () => void, failed: (error: Error) => void): void {
    this.#waiting += text;
    if (!this.#isOpen) {
      const end = this.#waiting.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!this.#waiting.startsWith('HTTP/1.1 101')) return failed(new Error(`refused: ${this.#waiting.slice(0, 300)}`));
      this.#isOpen = true;
      this.#waiting = this.#waiting.slice(end + 4);
      opened();
    }
    while (this.#waiting.length >= FRAME) {
      const frame = this.#waiting.slice(0, FRAME);
      this.#waiting = this.#waiting.slice(FRAME);
      if (!frame.startsWith('\x81\x7e\x00\x80')) return failed(new Error(`a frame that nobody sent: ${frame}`));
      this.#heard(frame.slice(4));
    }
  }
}

function upgrade(port: number, path: string): string {
  const key = randomBytes(16).toString('base64');
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
}
