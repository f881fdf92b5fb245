import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireBinary } from './binaries.ts';
import { Child, type ChildOptions } from './child.ts';
import { isLed } from './nats-cluster.ts';
import { freePort } from './ports.ts';

const run = promisify(execFile);

/** Hosts on one wire, each a network namespace; the test itself is one more of them. Needs root. */
export class Network implements AsyncDisposable {
  /** The address of the test's own process. */
  readonly here: string;
  /** The addresses of the hosts. */
  readonly hosts: readonly string[];
  readonly #id: string;

  private constructor(id: string, here: string, hosts: readonly string[]) {
    this.#id = id;
    this.here = here;
    this.hosts = hosts;
  }

  static async start(count: number): Promise<Network> {
    const port = await freePort();
    const id = port.toString(36);
    const net = `10.${200 + (port % 50)}.${(port >> 3) % 250}`;
    const network = new Network(
      id,
      `${net}.254`,
      Array.from({ length: count }, (_, index) => `${net}.${index + 1}`),
    );
    try {
      await run('ip', ['netns', 'add', network.#wire]);
      await run('ip', ['-n', network.#wire, 'link', 'add', 'wire', 'type', 'bridge']);
      await run('ip', ['-n', network.#wire, 'link', 'set', 'wire', 'up']);
      await run('ip', ['link', 'add', `bgh${id}`, 'type', 'veth', 'peer', 'name', 'here', 'netns', network.#wire]);
      await run('ip', ['addr', 'add', `${network.here}/24`, 'dev', `bgh${id}`]);
      await run('ip', ['link', 'set', `bgh${id}`, 'up']);
      await run('ip', ['-n', network.#wire, 'link', 'set', 'here', 'master', 'wire', 'up']);
      for (const index of network.hosts.keys()) await network.#addHost(index);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a program on a host. */
  run(host: number, command: string, args: readonly string[], options: ChildOptions = {}): Child {
    return new Child('ip', ['netns', 'exec', this.#namespace(host), command, ...args], options);
  }

  /**
   * Nothing passes between a host and these addresses from now on. They are not told; the host's own connections to them break, so that what it has
   * sent is lost, where TCP would else deliver all of it in the end.
   */
  async cut(host: number, addresses: readonly string[]): Promise<void> {
    await this.#iptables(host, '-A', 'INPUT', '-i', 'lo', '-j', 'ACCEPT');
    for (const address of addresses) {
      await this.#iptables(host, '-A', 'INPUT', '-s', address, '-j', 'DROP');
      await this.#iptables(host, '-A', 'OUTPUT', '-d', address, '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset');
    }
  }

  async mend(host: number): Promise<void> {
    await this.#iptables(host, '-F');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const namespaces = [...this.hosts.keys()].map((index) => this.#namespace(index));
    for (const namespace of [...namespaces, this.#wire]) await run('ip', ['netns', 'del', namespace]).catch(() => undefined);
  }

  /** A namespace of its own, where the machine's firewall has no say. */
  get #wire(): string {
    return `bgw${this.#id}`;
  }

  async #addHost(index: number): Promise<void> {
    const [namespace, outside] = [this.#namespace(index), `host${index}`];
    await run('ip', ['netns', 'add', namespace]);
    await run('ip', ['-n', this.#wire, 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'net', 'netns', namespace]);
    await run('ip', ['-n', this.#wire, 'link', 'set', outside, 'master', 'wire', 'up']);
    await run('ip', ['-n', namespace, 'addr', 'add', `${this.hosts[index]}/24`, 'dev', 'net']);
    for (const device of ['net', 'lo']) await run('ip', ['-n', namespace, 'link', 'set', device, 'up']);
  }

  async #iptables(host: number, ...args: string[]): Promise<void> {
    await run('ip', ['netns', 'exec', this.#namespace(host), 'iptables', '-w', ...args]);
  }

  #namespace(index: number): string {
    return `bg${this.#id}${index}`;
  }
}

/** nats-servers with JetStream on the first hosts of a network, a cluster where there are several. */
export class DistantNats implements AsyncDisposable {
  readonly #folder: string;
  readonly #children: readonly Child[];

  private constructor(folder: string, children: readonly Child[]) {
    this.#folder = folder;
    this.#children = children;
  }

  static async start(network: Network, count: number): Promise<DistantNats> {
    const binary = await requireBinary('nats-server');
    const folder = await mkdtemp(join(tmpdir(), 'busgate-nats-'));
    const routes = network.hosts.slice(0, count).map((host) => `nats://${host}:6222`);
    const children = await Promise.all(
      routes.map(async (_, index) => {
        const cluster = count === 1 ? '' : `cluster { name: busgate, listen: "0.0.0.0:6222", routes: [${routes.join(', ')}] }`;
        await writeFile(join(folder, `${index}.conf`), `server_name: n${index}\n${cluster}\n`);
        const files = ['-c', join(folder, `${index}.conf`), '-js', '-sd', join(folder, `${index}`)];
        const child = network.run(index, binary, [...files, '-a', '0.0.0.0', '-p', '4222']);
        await child.lines.find((line) => line.includes('Server is ready'), 'a server that is ready');
        if (count > 1) await isLed(`nats://${network.hosts[index] ?? ''}:4222`);
        return child;
      }),
    );
    return new DistantNats(folder, children);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
