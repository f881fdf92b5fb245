import { connect, type Socket } from 'node:net';

/** Stands once in each message of the bench, and nowhere else in what servers send: no header of a frame has it either. */
export const MARK = '^';
/** A server's ping begins with it (RFC 6455 section 5.5.2); it comes alone where nothing else does. */
const PING = '\x89';
/** The end of a response's, or an upgrade's, head. */
const HEAD_END = '\r\n\r\n';

/** One raw connection on which messages are counted, whatever is around them: so the load costs less than any server. */
export class Reader {
  readonly #socket: Socket;
  readonly #heard: (count: number) => void;
  #head = '';
  #isOpen = false;

  private constructor(socket: Socket, heard: (count: number) => void) {
    this.#socket = socket;
    this.#heard = heard;
    socket.setEncoding('latin1');
  }

  /**
   * Resolves once the server has answered with 101 or 200, or where it `waits` to answer, once it is asked; `heard` is told how many messages came. What goes
   * wrong later ends the process.
   */
  static open(port: number, request: string, waits: boolean, heard: (count: number) => void): Promise<Reader> {
    const { promise, resolve, reject } = Promise.withResolvers<Reader>();
    const reader = new Reader(connect(port, '127.0.0.1'), heard);
    const fail = (error: Error): void => {
      if (reader.#isOpen) throw error;
      reject(error);
    };
    reader.#socket.write(request, () => {
      if (waits) resolve(reader);
    });
    reader.#socket.on('data', (text: string) => reader.#read(text, () => resolve(reader), fail));
    reader.#socket.on('error', fail);
    reader.#socket.on('close', () => fail(new Error(`the server closed a connection of ${request.slice(0, 60)}`)));
    return promise;
  }

  #read(text: string, opened: () => void, fail: (error: Error) => void): void {
    if (text.startsWith(PING)) return void this.#socket.write(pong(text.slice(2)), 'latin1');
    if (this.#isOpen) return this.#count(text);
    this.#head += text;
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) return;
    if (!/^HTTP\/1\.1 (?:101|200) /.test(this.#head)) return fail(new Error(`refused: ${this.#head.slice(0, 300)}`));
    this.#isOpen = true;
    opened();
    this.#count(this.#head.slice(end));
    this.#head = '';
  }

  #count(text: string): void {
    let count = 0;
    for (let at = text.indexOf(MARK); at >= 0; at = text.indexOf(MARK, at + 1)) count += 1;
    if (count > 0) this.#heard(count);
  }
}

/** A masked pong (RFC 6455 section 5.5.3); the key is zero, which leaves the payload as it is. */
function pong(payload: string): string {
  return `\x8a${String.fromCodePoint(0x80 | payload.length)}\0\0\0\0${payload}`;
}
