import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child, type Exit } from './child.ts';
import type { Collector } from './events.ts';
import { freePort } from './ports.ts';

const ROOT = join(import.meta.dirname, '../..');
const PATIENCE_MS = 60_000;
/** Between two questions whether a gateway is ready. */
const ASK_AGAIN_MS = 20;
/** Times that a port taken between its choice and its use is chosen anew. */
const ATTEMPTS = 5;

interface GatewayOptions {
  /** Further flags of `busgate serve`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The checkout whose sources are run, in place of this one. */
  readonly root?: string;
  /** The beginning of a command that runs what follows. */
  readonly within?: readonly string[];
  /** Whether what was built is run, as it is shipped, in place of the sources, whose compiler takes memory. */
  readonly isBuilt?: boolean;
  /** Whether to wait until the layer has been reached (`/readyz` says 200) or only until the process serves. */
  readonly until?: 'ready' | 'alive';
}

interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: 'ignore' | 'pipe';
  /** The checkout whose sources are run, in place of this one. */
  readonly root?: string;
  /** The beginning of a command that runs what follows. */
  readonly within?: readonly string[];
  /** Whether what was built is run, in place of the sources. */
  readonly isBuilt?: boolean;
}

/** Any `busgate …` as a process of its own, from the sources as they are. */
export function runBusgate(args: readonly string[], { root = ROOT, within = [], isBuilt = false, ...options }: CommandOptions = {}): Child {
  const script = isBuilt ? ['packages/gateway/dist/cli.js'] : ['--conditions=@busgate/source', 'packages/gateway/src/cli.ts'];
  const path = join(root, script.pop() ?? '');
  const [command = '', ...rest] = [...within, process.execPath, ...script, path, ...args];
  return new Child(command, rest, options);
}

/** A `busgate serve` on free ports, resolved when it is ready. */
export async function startGateway(options: GatewayOptions = {}): Promise<GatewayProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const [port, opsPort] = [await freePort(), await freePort()];
    try {
      return await startGatewayOn(port, opsPort, options);
    } catch (error) {
      const isTaken = [port, opsPort].some((chosen) => String(error).includes(`port ${chosen} is taken`));
      if (attempt === ATTEMPTS || !isTaken) throw error;
    }
  }
}

/** The same on ports that it must have: in the place of one that has ended. */
export async function startGatewayOn(
  port: number,
  opsPort: number,
  { args = [], env = {}, root = ROOT, within = [], isBuilt = false, until = 'ready' }: GatewayOptions,
): Promise<GatewayProcess> {
  const child = runBusgate(['serve', '--port', `${port}`, '--ops-port', `${opsPort}`, ...args], { env, root, within, isBuilt });
  const gateway = new GatewayProcess(child, port, opsPort);
  try {
    await gateway.answers(until === 'ready' ? '/readyz' : '/healthz');
    return gateway;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

/** A gateway in a process of its own. */
export class GatewayProcess implements AsyncDisposable {
  readonly port: number;
  readonly opsPort: number;
  readonly #child: Child;

  constructor(child: Child, port: number, opsPort: number) {
    this.#child = child;
    this.port = port;
    this.opsPort = opsPort;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it wrote to its streams. */
  get lines(): Collector<string> {
    return this.#child.lines;
  }

  get exited(): Promise<Exit> {
    return this.#child.exited;
  }

  http(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  ws(path: string): string {
    return `ws://127.0.0.1:${this.port}${path}`;
  }

  ops(path: string): string {
    return `http://127.0.0.1:${this.opsPort}${path}`;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
  }

  /** Ends it at once (SIGKILL). */
  kill(): Promise<Exit> {
    return this.#child.kill();
  }

  /** Resolves when `path` of the ops port answers 200. */
  async answers(path: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!(await this.#asks(path))) {
      const late = performance.now() > deadline;
      if (late || !this.#child.alive) throw new Error(`the gateway ${late ? `did not answer ${path} with 200` : 'ended'}:\n${this.lines.all.join('\n')}`);
      await delay(ASK_AGAIN_MS);
    }
  }

  /** The value of a metric, as `name{labels}` is printed; 0 where it is not there. */
  async metric(sample: string): Promise<number> {
    const text = await (await fetch(this.ops('/metrics'))).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
    return line === undefined ? 0 : Number(line.slice(sample.length + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }

  async #asks(path: string): Promise<boolean> {
    try {
      const response = await fetch(this.ops(path));
      await response.body?.cancel();
      return response.status === 200;
    } catch {
      return false;
    }
  }
}
