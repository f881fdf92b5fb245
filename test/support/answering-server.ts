import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** How each command of Redis's protocol begins. */
const COMMAND = /(?:^|\n)\*\d+\r\n/g;

/** Something that takes connections as Redis does, and answers every command the same. */
export class AnsweringServer implements AsyncDisposable {
  /** Connections that it took. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: string) {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('data', (data: Buffer) => {
        const commands = data.toString('latin1').match(COMMAND)?.length ?? 0;
        socket.write(answer.repeat(commands));
      });
    });
  }

  static async start(answer: string): Promise<AnsweringServer> {
    const server = new AnsweringServer(answer);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
