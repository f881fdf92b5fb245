import { outcomeOf, outputOf } from './commands.ts';

const NEEDED = 'the tests need a Docker engine that answers, with Compose 2.24 or later (docker compose version), and the base images that deploy/ names';

/** Throws where no Docker engine answers, or its Compose is too old for the tests. */
export async function requireDocker(): Promise<void> {
  const engine = await outcomeOf('docker', ['version', '--format', '{{.Server.Version}}']).catch((cause: unknown) => {
    throw new Error(NEEDED, { cause });
  });
  if (engine.code !== 0) throw new Error(`${NEEDED}: ${engine.stderr}`);
  const compose = await outcomeOf('docker', ['compose', 'version', '--short']);
  const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(compose.stdout)?.slice(1).map(Number) ?? [];
  if (compose.code !== 0 || major < 2 || (major === 2 && minor < 24)) throw new Error(`${NEEDED}; here is Compose ${compose.stdout.trim() || compose.stderr}`);
}

export function docker(...args: readonly string[]): Promise<string> {
  return outputOf('docker', args);
}

/** What the engine knows of a container. */
export interface Inspected {
  readonly Name: string;
  readonly RestartCount: number;
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly OOMKilled: boolean };
  readonly Config: { readonly User: string; readonly StopTimeout?: number };
  readonly HostConfig: {
    readonly Memory: number;
    readonly ReadonlyRootfs: boolean;
    readonly CapDrop: readonly string[] | null;
    readonly PortBindings: Readonly<Record<string, readonly { readonly HostIp: string }[]>>;
  };
}

export async function inspect(container: string): Promise<Inspected> {
  const [inspected] = JSON.parse(await docker('inspect', container)) as Inspected[];
  if (inspected === undefined) throw new Error(`there is no container ${container}`);
  return inspected;
}

/** Bytes of memory that a container uses, as the engine counts them. */
export async function memoryOf(container: string): Promise<number> {
  const [used = ''] = (await docker('stats', '--no-stream', '--format', '{{.MemUsage}}', container)).split(' / ');
  const [, number, unit = ''] = /^([\d.]+)(B|KiB|MiB|GiB)$/.exec(used.trim()) ?? [];
  const factor = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[unit];
  if (factor === undefined) throw new Error(`docker stats says ${used}`);
  return Number(number) * factor;
}

/** A Compose project of the tests' own, gone with its containers, networks and volumes after its disposal. */
export class ComposeProject implements AsyncDisposable {
  readonly name: string;
  readonly #files: readonly string[];

  constructor(name: string, files: readonly string[]) {
    this.name = name;
    this.#files = files;
  }

  /** Starts services, or those without a profile; builds what is missing, and waits until all are healthy. */
  up(...services: readonly string[]): Promise<string> {
    return this.#compose('up', '--detach', '--wait', '--wait-timeout', '400', ...services);
  }

  /** Runs `docker compose ARGS` on the services of every profile. */
  run(...args: readonly string[]): Promise<string> {
    return this.#compose('--profile', '*', ...args);
  }

  /** The containers of a service, also those that ended, by their numbers. */
  async containers(service: string): Promise<string[]> {
    const ids = (await this.run('ps', '--all', '--quiet', service)).split('\n').filter((id) => id !== '');
    const named = await Promise.all(ids.map(async (id) => (await inspect(id)).Name.slice(1)));
    return named.toSorted((a, b) => a.localeCompare(b));
  }

  /** Where a container's port is published on this host, as `host:port`. A restart may change it. */
  async published(container: string, port: number): Promise<string> {
    const [address = ''] = (await docker('port', container, `${port}/tcp`)).split('\n');
    return address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('down', '--volumes', '--remove-orphans', '--timeout', '2');
  }

  #compose(...args: readonly string[]): Promise<string> {
    return docker('compose', '--project-name', this.name, ...this.#files.flatMap((file) => ['--file', file]), ...args);
  }
}
