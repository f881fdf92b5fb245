import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { requireBinary } from '../../support/binaries.ts';
import { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import type { GatewayProcess } from '../../support/processes.ts';
import { ROOT } from './commands.ts';
import { post } from './crowd.ts';
import { until } from './until.ts';

/** Files that ship for proxies before gateways on one host. */
const FILES = join(ROOT, 'deploy/proxies');
/** Ports in the files: the proxy's own, and those of three gateways. */
const FILE_PORTS = { proxy: 8080, gateways: [8081, 8082, 8083], ops: [9091, 9092, 9093] };

/** How each proxy is asked whether it takes a file, and how it is started with it. */
export const PROXIES = {
  nginx: {
    file: 'nginx.conf',
    binary: () => requireBinary('nginx', '', 'nginx-light'),
    check: (file: string) => ['-t', '-q', '-e', 'stderr', '-c', file, '-g', `pid ${join(tmpdir(), `busgate-nginx-${process.pid}.pid`)};`],
    start: (file: string) => ['-e', 'stderr', '-c', file, '-g', `daemon off; pid ${file}.pid;`],
  },
  haproxy: {
    file: 'haproxy.cfg',
    binary: () => requireBinary('haproxy'),
    check: (file: string) => ['-c', '-q', '-f', file],
    start: (file: string) => ['-db', '-f', file],
  },
  /** Of the Compose file. */
  'haproxy in a container': {
    file: '../haproxy/haproxy.cfg',
    binary: () => requireBinary('haproxy'),
    check: (file: string) => ['-c', '-q', '-f', file],
    start: (file: string) => ['-db', '-f', file],
  },
} as const;

export type ProxyName = keyof typeof PROXIES;

/** Where the file of a proxy is that ships. */
export function shippedFile(name: ProxyName | 'envoy'): string {
  return join(FILES, name === 'envoy' ? 'envoy.yaml' : PROXIES[name].file);
}

/** A shipped file's text with the ports of these gateways, and this one of the proxy, in place of its own. */
function withPorts(text: string, port: number, gateways: readonly GatewayProcess[]): string {
  const ports = new Map<number, number>([
    [FILE_PORTS.proxy, port],
    ...gateways.flatMap((gateway, index): [number, number][] => [
      [FILE_PORTS.gateways[index] as number, gateway.port],
      [FILE_PORTS.ops[index] as number, gateway.opsPort],
    ]),
  ]);
  return text.replaceAll(/\b(?:808[0-3]|909[1-3])\b/g, (written) => String(ports.get(Number(written)) ?? written));
}

/** nginx or HAProxy with the file that ships for it, before three gateways of a test. */
export class RunningProxy implements AsyncDisposable {
  readonly port: number;
  readonly child: Child;
  readonly #folder: string;

  private constructor(port: number, child: Child, folder: string) {
    this.port = port;
    this.child = child;
    this.#folder = folder;
  }

  /** `edit` changes the text of its file. Where it speaks TLS then, nobody finds out whether it has a gateway yet. */
  static async start(name: ProxyName, gateways: readonly GatewayProcess[], edit = (text: string) => text): Promise<RunningProxy> {
    const proxy = PROXIES[name];
    const folder = await mkdtemp(join(tmpdir(), 'busgate-proxy-'));
    const port = await freePort();
    const file = join(folder, basename(proxy.file));
    await writeFile(file, edit(withPorts(await readFile(shippedFile(name), 'utf8'), port, gateways)));
    return new RunningProxy(port, new Child(await proxy.binary(), proxy.start(file)), folder);
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
    // In order: processes of the proxy's own would outlive its kill.
    if (this.child.alive) this.child.signal('SIGTERM');
    await this.child.exited;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
