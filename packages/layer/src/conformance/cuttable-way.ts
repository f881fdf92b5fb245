import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** Below the ports from which connections go out: one of them could otherwise be given the port of a way while it is cut, and hold it. */
const LOWEST = 10_000;
const HIGHEST = 32_000;

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
    for (;;) {
      way.#port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
      try {
        await way.mend();
        return way;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
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

  /** Every connection stands, and nothing passes any more: neither end learns so. Until it is cut. */
  hold(): void {
    for (const socket of this.#sockets) socket.unpipe();
  }

  async mend(): Promise<void> {
    this.#server = createServer((near) => this.#join(near, connect(this.#broker, '127.0.0.1')));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
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
