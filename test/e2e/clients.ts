import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A message as a raw client sees it: a string for a text frame, bytes for a binary one. */
export type Received = string | Buffer;

/** One WebSocket that keeps what it received, in order, and lets a test wait for it. */
export class Client implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly socket: WebSocket;
  /** Settles when the socket is gone, with the close code that came. */
  readonly closed: Promise<{ code: number; at: number; messages: number }>;
  readonly #watchers = new Set<() => void>();

  constructor(url: string, protocols: string[] = []) {
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false });
    this.socket.on('message', (data: Buffer, binary: boolean) => {
      this.received.push(binary ? data : data.toString());
      for (const watch of this.#watchers) watch();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code: number) => {
        resolve({ code, at: performance.now(), messages: this.received.length });
        for (const watch of this.#watchers) watch();
      });
    });
    this.socket.on('error', () => undefined);
  }

  static async open(url: string, protocols?: string[]): Promise<Client> {
    const client = new Client(url, protocols);
    await once(client.socket, 'open');
    return client;
  }

  /** The status with which an upgrade is refused. */
  static refused(url: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.on('unexpected-response', (request, response) => {
        request.destroy();
        resolve(response.statusCode);
      });
      socket.on('open', () => {
        socket.terminate();
        reject(new Error('the upgrade was accepted'));
      });
      socket.on('error', reject);
    });
  }

  send(data: Received): void {
    this.socket.send(data);
  }

  /** Resolves as soon as `holds` is true of what has been received; rejects when the socket closes before. */
  until(holds: (received: readonly Received[]) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const watch = (): void => {
        const done = holds(this.received);
        if (!done && this.socket.readyState !== WebSocket.CLOSED) return;
        this.#watchers.delete(watch);
        if (done) resolve();
        else reject(new Error(`closed after ${this.received.length} messages, the last: ${String(this.received.at(-1)).slice(0, 200)}`));
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}

/** A frame of `/socket`. */
export type Frame = { type: string } & Record<string, unknown>;

/** A client of `/socket`: requests are matched to answers by their `ref`. */
export class MultiplexClient extends Client {
  #ref = 0;
  #read = 0;
  readonly #frames: Frame[] = [];

  /** `protocols`: offered besides. */
  static override async open(url: string, protocols: string[] = []): Promise<MultiplexClient> {
    const client = new MultiplexClient(url, ['busgate.v1', ...protocols]);
    await client.until(() => client.frames.some((frame) => frame.type === 'welcome'));
    return client;
  }

  get frames(): readonly Frame[] {
    for (; this.#read < this.received.length; this.#read += 1) this.#frames.push(JSON.parse(String(this.received[this.#read])) as Frame);
    return this.#frames;
  }

  /** Sends a frame with a fresh `ref` and resolves with the answer to it, an error included. */
  async request(frame: Frame): Promise<Frame> {
    this.#ref += 1;
    const ref = this.#ref;
    // Each frame is looked at once: in a burst there are very many.
    let looked = this.frames.length;
    this.send(JSON.stringify({ ...frame, ref }));
    let answer: Frame | undefined;
    await this.until(() => {
      for (; answer === undefined && looked < this.frames.length; looked += 1) if (this.frames[looked]?.['ref'] === ref) answer = this.frames[looked];
      return answer !== undefined;
    });
    return answer as unknown as Frame;
  }

  /** What came of one room, in order: the data, text or bytes of its messages. */
  messages(room: string): unknown[] {
    return this.frames.filter((frame) => frame.type === 'message' && frame['room'] === room).map((frame) => frame['data'] ?? frame['text'] ?? frame['base64']);
  }
}
