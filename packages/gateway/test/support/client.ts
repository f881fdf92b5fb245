import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A WebSocket that keeps what it received. */
export class Client implements AsyncDisposable {
  readonly socket: WebSocket;
  /** Text frames as strings, binary ones as bytes. */
  readonly received: (string | Buffer)[] = [];
  closeCode: number | undefined;
  readonly #waiting = new Set<() => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data, binary) => {
      this.received.push(binary ? (data as Buffer) : (data as Buffer).toString());
      this.#changed();
    });
    socket.on('close', (code) => {
      this.closeCode = code;
      this.#changed();
    });
    socket.on('error', () => undefined);
  }

  static async open(url: string, protocols: string[] = [], headers: Record<string, string> = {}): Promise<Client> {
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false, headers });
    const client = new Client(socket);
    await once(socket, 'open');
    return client;
  }

  /** Of `/socket`, past its welcome. */
  static async multiplex(url: string, headers: Record<string, string> = {}): Promise<Client> {
    const client = await Client.open(url, ['busgate.v1'], headers);
    await client.until(() => client.received.length > 0);
    return client;
  }

  /** The frames of `/socket`. */
  get frames(): Record<string, unknown>[] {
    return this.received.map((text) => JSON.parse(String(text)) as Record<string, unknown>);
  }

  send(frame: string | Buffer | object): void {
    this.socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** Sends a frame and resolves with the answer that carries its ref. */
  async ask(frame: { readonly ref: string | number; readonly [member: string]: unknown }): Promise<Record<string, unknown>> {
    this.send(frame);
    const answer = (): Record<string, unknown> | undefined => this.frames.find(({ ref }) => ref === frame.ref);
    await this.until(() => answer() !== undefined);
    return answer() ?? {};
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.closeCode !== undefined)
        throw new Error(`closed with ${this.closeCode} after ${this.received.length} frames, the last ${String(this.received.at(-1)).slice(0, 200)}`);
      await this.#change();
    }
  }

  async closed(): Promise<number> {
    while (this.closeCode === undefined) await this.#change();
    return this.closeCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.add(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
