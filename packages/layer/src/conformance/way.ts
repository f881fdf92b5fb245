import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** A way to a broker of its own, over TCP, which can be cut and mended while everybody else reaches the broker. */
export class Way implements AsyncDisposable {
  readonly #broker: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  private constructor(broker: number) {
    this.#broker = broker;
  }

  /** To a broker on that port of this machine. */
  static async to(port: number): Promise<Way> {
    const way = new Way(port);
    await way.mend();
    return way;
  }

  /** Where the way begins, on this machine. */
  get port(): number {
    return this.#port;
  }

  /** Every connection breaks, and none can be made. */
  cut(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  async mend(): Promise<void> {
    this.#server = createServer((near) => this.#join(near, connect(this.#broker, '127.0.0.1')));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
