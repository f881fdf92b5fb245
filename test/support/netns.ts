import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { requireBinary } from './binaries.ts';
import { Child } from './child.ts';
import { freePort } from './ports.ts';

const run = promisify(execFile);

/** What differs between the brokers. */
const KINDS = {
  redis: {
    binary: 'redis-server',
    options: (port: number) => ['--port', `${port}`, '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--appendonly', 'no'],
    ready: /Ready to accept connections/,
  },
  nats: { binary: 'nats-server', options: (port: number) => ['--addr', '0.0.0.0', '--port', `${port}`], ready: /Server is ready/ },
} as const;

/** A broker behind a network of its own, whose packets can be dropped and slowed. Needs root. */
export class DistantBroker implements AsyncDisposable {
  readonly url: string;
  readonly #namespace: string;
  readonly #child: Child;

  private constructor(scheme: string, namespace: string, child: Child, host: string, port: number) {
    this.#namespace = namespace;
    this.#child = child;
    this.url = `${scheme}://${host}:${port}`;
  }

  static async start(kind: keyof typeof KINDS): Promise<DistantBroker> {
    const { binary: name, options, ready } = KINDS[kind];
    const binary = await requireBinary(name);
    const port = await freePort();
    const id = port.toString(36);
    const [namespace, here, there] = [`bg${id}`, `bgh${id}`, `bgt${id}`];
    const net = `10.${200 + (port % 50)}.${(port >> 3) % 250}`;
    await run('ip', ['netns', 'add', namespace]);
    try {
      await run('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', namespace]);
      await run('ip', ['addr', 'add', `${net}.1/24`, 'dev', here]);
      await run('ip', ['link', 'set', here, 'up']);
      await run('ip', ['-n', namespace, 'addr', 'add', `${net}.2/24`, 'dev', there]);
      await run('ip', ['-n', namespace, 'link', 'set', there, 'up']);
      const child = new Child('ip', ['netns', 'exec', namespace, binary, ...options(port)]);
      await child.lines.find((line) => ready.test(line), 'a server that is ready');
      return new DistantBroker(kind, namespace, child, `${net}.2`, port);
    } catch (error) {
      await run('ip', ['netns', 'del', namespace]);
      throw error;
    }
  }

  /** Every packet for the server is dropped from now on, and nobody is told. */
  async cut(): Promise<void> {
    await run('ip', ['netns', 'exec', this.#namespace, 'iptables', '-w', '-I', 'INPUT', '-j', 'DROP']);
  }

  async mend(): Promise<void> {
    await run('ip', ['netns', 'exec', this.#namespace, 'iptables', '-w', '-F', 'INPUT']);
  }

  /** What the server sends passes at this rate, in kilobits a second. */
  async slow(kilobits: number): Promise<void> {
    const device = (await run('ip', ['-n', this.#namespace, '-o', 'link', 'show', 'type', 'veth'])).stdout.match(/: (bgt\w+)/)?.[1] as string;
    await run('tc', ['-n', this.#namespace, 'qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', `${kilobits}kbit`, 'burst', '8kb', 'latency', '2s']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await run('ip', ['netns', 'del', this.#namespace]);
  }
}
