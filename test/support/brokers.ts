import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireBinary } from './binaries.ts';
import { Child } from './child.ts';
import { freePort } from './ports.ts';

interface BrokerOptions {
  /** Further command-line arguments. */
  readonly args?: readonly string[];
  /** Lines of a configuration file, in the broker's own language. */
  readonly config?: readonly string[];
}

/** What differs between the brokers. */
interface Kind {
  readonly name: string;
  readonly scheme: string;
  command(files: { data: string; config: string; port: number }): string[];
  /** The line that it logs once it takes connections. */
  readonly ready: RegExp;
  /** The line with which it gives up because the port is taken. */
  readonly taken: RegExp;
  /** What a client sends first, and what a live server answers. */
  readonly greeting: string;
  readonly answer: RegExp;
}

const REDIS: Kind = {
  name: 'redis-server',
  scheme: 'redis',
  command: ({ data, config, port }) => [
    config,
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--dir',
    data,
    '--save',
    '',
    '--appendonly',
    'yes',
    '--daemonize',
    'no',
  ],
  ready: /Ready to accept connections/,
  taken: /Address already in use/,
  greeting: 'PING\r\n',
  answer: /^(\+PONG|-NOAUTH)/,
};

const NATS: Kind = {
  name: 'nats-server',
  scheme: 'nats',
  command: ({ data, config, port }) => ['-c', config, '-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', data],
  ready: /Server is ready/,
  taken: /address already in use/,
  greeting: '',
  answer: /^INFO /,
};

/** Times that a port taken between its choice and its use is chosen anew. */
const ATTEMPTS = 5;

/** A redis-server of this test alone. What was written survives {@link Broker.restart}. */
export async function startRedis(options: BrokerOptions = {}): Promise<Broker> {
  return Broker.start(REDIS, options);
}

/** A nats-server with JetStream of this test alone. What was written to streams survives {@link Broker.restart}. */
export async function startNats(options: BrokerOptions = {}): Promise<Broker> {
  return Broker.start(NATS, options);
}

/** A real broker on a free port of the loopback address. */
export class Broker implements AsyncDisposable {
  readonly port: number;
  /** Where it keeps its data and configuration; gone after its disposal. */
  readonly folder: string;
  readonly #kind: Kind;
  readonly #binary: string;
  readonly #args: readonly string[];
  #child: Child | undefined;

  private constructor(kind: Kind, binary: string, folder: string, port: number, args: readonly string[]) {
    this.#kind = kind;
    this.#binary = binary;
    this.folder = folder;
    this.port = port;
    this.#args = args;
  }

  static async start(kind: Kind, { args = [], config = [] }: BrokerOptions): Promise<Broker> {
    const binary = await requireBinary(kind.name);
    const folder = await mkdtemp(join(tmpdir(), `busgate-${kind.name}-`));
    try {
      await mkdir(join(folder, 'data'));
      await writeFile(join(folder, 'config'), `${config.join('\n')}\n`);
      for (let attempt = 1; ; attempt += 1) {
        const broker = new Broker(kind, binary, folder, await freePort(), args);
        try {
          await broker.start();
          return broker;
        } catch (error) {
          if (attempt === ATTEMPTS || !kind.taken.test(String(error))) throw error;
        }
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get url(): string {
    return `${this.#kind.scheme}://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#running().pid;
  }

  /** Starts a broker that was stopped or killed, on the same port, with what it had unless `empty`. Resolves when it answers. */
  async start({ empty = false }: { empty?: boolean } = {}): Promise<void> {
    if (this.#child?.alive) throw new Error(`${this.#kind.name} runs already`);
    const data = join(this.folder, 'data');
    if (empty) {
      await rm(data, { recursive: true, force: true });
      await mkdir(data);
    }
    const child = new Child(this.#binary, [...this.#kind.command({ data, config: join(this.folder, 'config'), port: this.port }), ...this.#args]);
    this.#child = child;
    try {
      await child.lines.find((line) => this.#kind.ready.test(line), `the line that ${this.#kind.name} is ready`);
      await this.#greet();
    } catch (cause) {
      await child.kill();
      throw new Error(`${this.#kind.name} on port ${this.port} did not start:\n${child.lines.all.slice(-20).join('\n')}`, { cause });
    }
  }

  /** Resolves when it has logged such a line since its start, or does. */
  async logged(line: RegExp): Promise<void> {
    await this.#running().lines.find((text) => line.test(text), `the line ${String(line)}`);
  }

  /** Lets it end in order (SIGTERM). */
  async stop(): Promise<void> {
    const child = this.#running();
    child.signal('SIGCONT');
    child.signal('SIGTERM');
    await child.exited;
  }

  /** Ends it at once (SIGKILL). */
  async kill(): Promise<void> {
    await this.#running().kill();
  }

  /** Stops it where it runs and starts it again on the same port. */
  async restart(options: { empty?: boolean } = {}): Promise<void> {
    if (this.#child?.alive) await this.stop();
    await this.start(options);
  }

  /** From the return on it answers nothing, while its connections stay open, until {@link resume}. */
  pause(): void {
    const child = this.#running();
    child.signal('SIGSTOP');
    child.awaitStop();
  }

  resume(): void {
    this.#running().signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }

  #running(): Child {
    if (!this.#child?.alive) throw new Error(`${this.#kind.name} does not run`);
    return this.#child;
  }

  /** Resolves when the server has answered one request. */
  async #greet(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(this.port, '127.0.0.1', () => socket.write(this.#kind.greeting));
    socket.on('data', (data: Buffer) => {
      if (this.#kind.answer.test(data.toString('latin1'))) resolve();
      else reject(new Error(`answered ${data.toString('latin1').slice(0, 200)}`));
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed the connection without an answer')));
    await promise.finally(() => socket.destroy());
  }
}
