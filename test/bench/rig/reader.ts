import { connect, type Socket } from 'node:net';

/** Stands once in each message of the bench, and nowhere else in what servers send: no header of a frame has it either. */
export const MARK = '^';
/** A server's ping begins with it (RFC 6455 section 5.5.2); it comes alone where nothing else does. */
const PING = '\x89';
/** The end of a response's, or an upgrade's, head. */
const HEAD_END = '\r\n\r\n';

/** What is said on a connection. */
export interface Talk {
  /** In errors. */
  readonly title: string;
  /** What is sent first. */
  readonly request: string;
  /** What comes once messages may; without it the end of the answer's head. */
  readonly opens?: string | undefined;
  /** Where it is polled: the next request, from the answer to the last one. */
  readonly next?: ((answer: string) => string) | undefined;
}

/** One raw connection on which messages are counted, whatever is around them: so the load costs less than any server. */
export class Reader {
  readonly #socket: Socket;
  readonly #talk: Talk;
  readonly #heard: (count: number) => void;
  #head = '';
  #isOpen = false;

  private constructor(port: number, talk: Talk, heard: (count: number) => void) {
    this.#socket = connect(port, '127.0.0.1');
    this.#talk = talk;
    this.#heard = heard;
    this.#socket.setEncoding('latin1');
  }

  /**
   * Resolves once the server has answered with 101 or 200, or where it is polled, once the first poll is answered and the next one asked; `heard` is told how many messages came.
   * What goes wrong later ends the process.
   */
  static open(port: number, talk: Talk, heard: (count: number) => void): Promise<Reader> {
    const { promise, resolve, reject } = Promise.withResolvers<Reader>();
    const reader = new Reader(port, talk, heard);
    const fail = (error: Error): void => {
      if (reader.#isOpen) throw error;
      reject(error);
    };
    const opened = (): void => resolve(reader);
    reader.#socket.write(talk.request);
    reader.#socket.on('data', (text: string) => {
      if (talk.next === undefined) reader.#read(text, opened, fail);
      else reader.#answered(text, talk.next, opened);
    });
    reader.#socket.on('error', fail);
    reader.#socket.on('close', () => fail(new Error(`the server closed a connection of ${talk.title}`)));
    return promise;
  }

  /** Sends one text frame (RFC 6455 section 5.2), masked by a key of zeros; `text` is ASCII and at most 125 bytes long. */
  send(text: string): void {
    if (text.length > 125) throw new Error(`a frame of ${text.length} bytes: this client writes 125 at most`);
    this.#socket.write(`\x81${String.fromCodePoint(0x80 | text.length)}\0\0\0\0${text}`, 'latin1');
  }

  /** What has come of an answer to a poll; the next one is asked for once it is whole. */
  #answered(text: string, next: NonNullable<Talk['next']>, opened: () => void): void {
    this.#head += text;
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) return;
    const [, length] = /^HTTP\/1\.1 200 [^]*^Content-Length: (\d+)\r$/im.exec(this.#head.slice(0, end + 2)) ?? [];
    if (length === undefined) throw new Error(`no answer to a poll: ${this.#head.slice(0, 300)}`);
    if (this.#head.length < end + HEAD_END.length + Number(length)) return;
    const answer = this.#head;
    this.#head = '';
    this.#socket.write(next(answer));
    this.#isOpen = true;
    opened();
    this.#count(answer);
  }

  #read(text: string, opened: () => void, fail: (error: Error) => void): void {
    if (text.startsWith(PING)) return void this.#socket.write(pong(text.slice(2)), 'latin1');
    if (this.#isOpen) return this.#count(text);
    this.#head += text;
    const end = this.#head.indexOf(this.#talk.opens ?? HEAD_END);
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
