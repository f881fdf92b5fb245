import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  sent: string;
}

/** A way to Redis on which single connections can fall silent while they stay open. */
export class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #command: string | undefined;
  #unanswered = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Line> {
    const server = createServer();
    const line = new Line(server);
    server.on('connection', (near) => line.#join(near, connect(port, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return line;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Nothing that Redis sends on the connections that have sent that command arrives from now on; how many they are. */
  silence(command: string): number {
    const chosen = [...this.#pairs].filter(({ sent }) => sent.includes(`\r\n${command}\r\n`));
    for (const { near, far } of chosen) far.unpipe(near);
    return chosen.length;
  }

  /** From now on nothing is answered to that command, nor to what follows it on its connection; undefined: all is, on connections made anew. */
  leaveUnanswered(command: string | undefined): void {
    this.#command = command;
  }

  /** How often an answer was kept back so. */
  get unanswered(): number {
    return this.#unanswered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.destroy();
  }

  #join(near: Socket, far: Socket): void {
    const pair: Pair = { near, far, sent: '' };
    this.#pairs.add(pair);
    near.on('data', (data: Buffer) => {
      const text = data.toString('latin1');
      pair.sent += text;
      if (this.#command === undefined || !text.includes(`\r\n${this.#command}\r\n`)) return;
      this.#unanswered += 1;
      far.unpipe(near);
    });
    near.pipe(far);
    far.pipe(near);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
    }
  }
}
