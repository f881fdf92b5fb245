import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A frame as it came from the gateway. */
export interface RawFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The head of a request, line by line. */
export function request(line: string, ...headers: string[]): string {
  return [line, ...headers, '', ''].join('\r\n');
}

/** An upgrade request in order; `changes` replace headers by name, '' takes one out. */
export function upgrade(path: string, changes: Readonly<Record<string, string>> = {}, line = `GET ${path} HTTP/1.1`): string {
  const headers: Record<string, string> = {
    Host: 'busgate.test',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...changes,
  };
  return request(line, ...Object.entries(headers).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`])));
}

/** A masked frame, or one that a library would refuse to make. */
export function frame(
  opcode: number,
  payload: string | Uint8Array = '',
  options: { fin?: boolean; mask?: boolean; rsv?: number; length?: number } = {},
): Buffer {
  const { fin = true, mask = true, rsv = 0 } = options;
  const bytes = Buffer.from(payload as string);
  const length = options.length ?? bytes.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const maskBit = mask ? 0x80 : 0;
  if (length <= 125) head.push(maskBit | length);
  else if (length <= 0xffff) head.push(maskBit | 126, length >>> 8, length & 0xff);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(length));
    head.push(maskBit | 127, ...long);
  }
  const key = Buffer.from([1, 2, 3, 4]);
  const masked = mask ? Buffer.concat([key, bytes.map((byte, index) => byte ^ (key[index % 4] ?? 0))]) : bytes;
  return Buffer.concat([Buffer.from(head), masked]);
}

export function closeFrame(code: number, reason = ''): Buffer {
  const body = Buffer.alloc(2 + Buffer.byteLength(reason));
  body.writeUInt16BE(code);
  body.write(reason, 2);
  return frame(8, body);
}

/** Writes bytes as they are and reads what comes: a client that no library would let be. */
export class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly frames: RawFrame[] = [];
  /** True once the connection is gone. */
  isClosed = false;
  /** What ended it, where that was no orderly end: a reset, for one. */
  error: Error | undefined;
  #bytes = Buffer.alloc(0);
  #isUpgraded = false;
  readonly #waiting = new Set<() => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      if (this.#isUpgraded) this.#readFrames();
      this.#changed();
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('end', () => this.#changed());
    socket.on('close', () => {
      this.isClosed = true;
      this.#changed();
    });
  }

  /** `from`: which address of this machine it is to have. */
  static async connect(port: number, from?: string): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...(from !== undefined && { localAddress: from }) });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Connected, and past the handshake. */
  static async upgraded(port: number, path: string): Promise<RawClient> {
    const client = await RawClient.connect(port);
    client.write(upgrade(path));
    const { status } = await client.answer();
    if (status !== 101) throw new Error(`refused with ${status}`);
    return client;
  }

  write(...pieces: (string | Uint8Array)[]): void {
    for (const piece of pieces) this.socket.write(piece);
  }

  /** The next HTTP answer, whole. After a 101 what follows is read as frames. */
  async answer(): Promise<HttpAnswer> {
    const { status, headers } = await this.head();
    const length = Number(headers.get('content-length') ?? 0);
    await this.#until(() => this.#bytes.length >= length);
    const body = this.#bytes.subarray(0, length).toString();
    this.#bytes = this.#bytes.subarray(length);
    this.#isUpgraded = status === 101;
    if (this.#isUpgraded) this.#readFrames();
    return { status, headers, body };
  }

  /** The head of the next HTTP answer; its body, where it has one, is left. */
  async head(): Promise<Omit<HttpAnswer, 'body'>> {
    await this.#until(() => this.#bytes.includes('\r\n\r\n'));
    const end = this.#bytes.indexOf('\r\n\r\n');
    const [first = '', ...lines] = this.#bytes.subarray(0, end).toString('latin1').split('\r\n');
    const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
    this.#bytes = this.#bytes.subarray(end + 4);
    return { status: Number(first.split(' ')[1]), headers };
  }

  /** The code of the close frame; the connection's end without one is 1006, an empty one 1005. */
  async closeCode(): Promise<number> {
    await this.#until(() => this.isClosed || this.frames.some(({ opcode }) => opcode === 8));
    const close = this.frames.find(({ opcode }) => opcode === 8);
    if (close === undefined) return 1006;
    return close.payload.length < 2 ? 1005 : close.payload.readUInt16BE(0);
  }

  async until(holds: (frames: readonly RawFrame[]) => boolean): Promise<void> {
    await this.#until(() => holds(this.frames));
  }

  /** Resolves when the gateway has let go of the connection. */
  async closed(): Promise<void> {
    await this.#until(() => this.isClosed || this.socket.readableEnded);
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.isClosed) throw new Error(`the connection ended; ${this.#bytes.length} bytes are left: ${this.#bytes.subarray(0, 200).toString()}`);
      await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    }
  }

  #changed(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #readFrames(): void {
    for (;;) {
      const [first = 0, second = 0] = this.#bytes;
      const short = second & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (this.#bytes.length < head) return;
      const length = short === 126 ? this.#bytes.readUInt16BE(2) : short === 127 ? Number(this.#bytes.readBigUInt64BE(2)) : short;
      if (this.#bytes.length < head + length) return;
      this.frames.push({ opcode: first & 0x0f, fin: (first & 0x80) !== 0, payload: this.#bytes.subarray(head, head + length) });
      this.#bytes = this.#bytes.subarray(head + length);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.isClosed) await once(this.socket, 'close');
  }
}
