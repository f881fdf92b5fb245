import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { request } from './raw.ts';

const LINES = 'application/x-ndjson';

/** The text of all data lines of a block. */
export function dataOf(block: string): string {
  return block
    .split('\n')
    .flatMap((line) => /^data: (.*)$/.exec(line)?.[1] ?? [])
    .join('\n');
}

interface AskedStream {
  readonly headers?: readonly string[];
  /** `Accept`; an event stream without it. */
  readonly accept?: string;
  /** Asked for by POST, with this as JSON. */
  readonly body?: object;
}

/** A stream read byte for byte: its chunks are taken apart, and nothing else. */
export class StreamClient implements AsyncDisposable {
  readonly socket: Socket;
  /** The head of the answer, as it came. */
  head = '';
  /** The blocks so far, without the empty line behind each; or the lines. */
  readonly blocks: string[] = [];
  /** Whether the answer has ended as its framing says it does. */
  isWhole = false;
  isClosed = false;
  #bytes = Buffer.alloc(0);
  #text = '';
  readonly #separator: string;
  readonly #waiting = new Set<() => void>();

  private constructor(socket: Socket, separator: string) {
    this.socket = socket;
    this.#separator = separator;
    socket.on('data', (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      this.#read();
      this.#changed();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#changed();
    });
  }

  /** Asks for a stream, and resolves with the head of the answer, whatever it says. */
  static async open(port: number, path: string, headers: readonly string[] = []): Promise<StreamClient> {
    return await StreamClient.ask(port, path, { headers });
  }

  /** The same of a stream of lines. */
  static async openLines(port: number, path: string, headers: readonly string[] = []): Promise<StreamClient> {
    return await StreamClient.ask(port, path, { headers, accept: LINES });
  }

  static async ask(port: number, path: string, { headers = [], accept = 'text/event-stream', body }: AskedStream): Promise<StreamClient> {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    const client = new StreamClient(socket, accept === LINES ? '\n' : '\n\n');
    const text = JSON.stringify(body) ?? '';
    const posted = body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`];
    socket.write(request(`${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`, 'Host: a', `Accept: ${accept}`, ...posted, ...headers) + text);
    await client.until(() => client.head !== '');
    return client;
  }

  /** The lines as what they are JSON of. */
  get lines(): { readonly type: string; readonly [member: string]: unknown }[] {
    return this.blocks.map((line) => JSON.parse(line));
  }

  /** The blocks without `retry` and comments. */
  get events(): string[] {
    return this.blocks.filter((block) => !block.startsWith('retry:') && !block.startsWith(':'));
  }

  /** The frames of `/socket` among them. */
  get frames(): { readonly type: string; readonly [member: string]: unknown }[] {
    return this.events.flatMap((block) => {
      const data = dataOf(block);
      const type = /^event: (.*)$/m.exec(block)?.[1];
      return data === '' ? [] : [{ ...(type !== undefined && { type }), ...JSON.parse(data) }];
    });
  }

  /** The last `id` that came. */
  get lastId(): string | undefined {
    return this.events.flatMap((block) => /^id: (.*)$/m.exec(block)?.[1] ?? []).at(-1);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.isClosed) throw new Error(`the connection ended after ${this.head}${this.#text}${this.blocks.join('\n\n')}`);
      await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    }
  }

  async closed(): Promise<void> {
    await this.until(() => this.isClosed).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.isClosed) await once(this.socket, 'close');
  }

  #changed(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #read(): void {
    if (this.head === '') {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end === -1) return;
      this.head = this.#bytes.subarray(0, end).toString();
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    this.#readChunks();
    const blocks = this.#text.split(this.#separator);
    this.#text = blocks.pop() ?? '';
    this.blocks.push(...blocks);
  }

  #readChunks(): void {
    for (;;) {
      const line = this.#bytes.indexOf('\r\n');
      if (line === -1) return;
      const length = Number.parseInt(this.#bytes.subarray(0, line).toString(), 16);
      const end = line + 2 + length;
      if (this.#bytes.length < end + 2) return;
      if (this.#bytes.subarray(end, end + 2).toString() !== '\r\n') throw new Error('a chunk does not end where it says');
      this.#text += this.#bytes.subarray(line + 2, end).toString();
      this.#bytes = this.#bytes.subarray(end + 2);
      if (length === 0) this.isWhole = true;
    }
  }
}
