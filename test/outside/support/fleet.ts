import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { outputOf, ROOT } from './commands.ts';
import { ComposeProject, docker } from './docker.ts';
import { sumIn } from './promql.ts';
import { until } from '../../support/until.ts';

const COMPOSE = join(ROOT, 'deploy/docker-compose.yml');
const TRACING = join(ROOT, 'examples/tracing');
const SPAN_LOG = join(ROOT, 'test/outside/modules/span-log.ts');
const PROMETHEUS = join(ROOT, 'deploy/prometheus/prometheus.yml');

/** What ships lets no client publish; the tests' publishers are clients. */
const ROUTES = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: nobody}]';

/** What the engine has of a repository, for it may have no registry to ask; nothing where it has none, and then it is asked for what ships. */
async function imageOf(repository: string): Promise<string> {
  const [image = ''] = (await docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', repository)).split('\n');
  return image === '' ? '' : `image: '${image}'`;
}

/** The collector that ships, where the engine has one; else Node in its place. */
async function collector(): Promise<string> {
  const image = await imageOf('otel/opentelemetry-collector');
  if (image !== '') return `{ ${image} }`;
  return `{ image: 'node:24-bookworm-slim', command: !override [node, /span-log.ts], volumes: !override ['${SPAN_LOG}:/span-log.ts:ro'] }`;
}

/** Ports of the tests' own, drains and scrapes that a test can wait for, images that go with the project. The notice of a drain is the fleet's. */
async function overrides(name: string): Promise<string> {
  const gateway = `
    image: ${name}
    ports: ["127.0.0.1::9090"]
    environment: { BUSGATE_DRAIN_DEADLINE: 15s, BUSGATE_ROUTES: '${ROUTES}' }`;
  return `
services:
  gateway:${gateway}
  nats-gateway:${gateway}
  tracing-gateway:${gateway}
    volumes: ["${sdkOf(name)}:/sdk:ro"]
  collector: ${await collector()}
  publisher:
    image: ${name}-publisher
  haproxy:
    ports: !override ["127.0.0.1::8080", "127.0.0.1::8404"]
  nats-haproxy:
    ports: !override ["127.0.0.1::8080", "127.0.0.1::8404"]
  tracing-haproxy:
    ports: !override ["127.0.0.1::8080", "127.0.0.1::8404"]
  nats: { ${await imageOf('nats')} }
  prometheus:
    ${await imageOf('prom/prometheus')}
    ports: !override ["127.0.0.1::9090"]
    volumes: ["${scrapesOf(name)}:/etc/prometheus/prometheus.yml:ro"]
`;
}

function overrideOf(name: string): string {
  return join(tmpdir(), `${name}.yaml`);
}

/** Where the configuration with quick scrapes is. */
function scrapesOf(name: string): string {
  return join(tmpdir(), `${name}-prometheus.yml`);
}

/** Where the SDK of the profile tracing is. */
function sdkOf(name: string): string {
  return join(tmpdir(), `${name}-sdk`);
}

/** The fleet of deploy/docker-compose.yml as a project of the tests' own. */
export class Fleet implements AsyncDisposable {
  readonly project: ComposeProject;

  private constructor(project: ComposeProject) {
    this.project = project;
  }

  static async prepare(): Promise<Fleet> {
    const name = `busgate-test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
    const override = overrideOf(name);
    await writeFile(override, await overrides(name));
    await writeFile(scrapesOf(name), (await readFile(PROMETHEUS, 'utf8')).replaceAll('15s', '2s'));
    return new Fleet(new ComposeProject(name, [COMPOSE, override]));
  }

  /** Installs the SDK of the profile tracing, as its users do; the gateways' user may read it. */
  async installSdk(): Promise<void> {
    const folder = sdkOf(this.project.name);
    await cp(TRACING, folder, { recursive: true, filter: (path) => basename(path) !== 'node_modules' });
    await outputOf('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder]);
  }

  /** Starts these services and what they depend on, or the fleet on Redis, and waits until all are healthy. */
  async up(...services: readonly string[]): Promise<void> {
    try {
      await this.project.up(...services);
    } catch (cause) {
      throw new Error(`the fleet did not come up:\n${await this.project.run('logs', '--no-color', '--tail', '20')}`, { cause });
    }
  }

  /** The gateways of a service. */
  async gateways(service = 'gateway'): Promise<Gateway[]> {
    return (await this.project.containers(service)).map((container) => new Gateway(this.project, container));
  }

  /** Where clients of the fleet connect, as `host:port`; resolves when the proxy has all three gateways. */
  async origin(proxy = 'haproxy'): Promise<string> {
    const [container = ''] = await this.project.containers(proxy);
    const metrics = `http://${await this.project.published(container, 8404)}/metrics`;
    await until(
      'the proxy has all gateways',
      async () => (await fetch(metrics)).text(),
      (page) => /^haproxy_backend_active_servers\{proxy="gateways"\} 3$/m.test(page),
    );
    return this.project.published(container, 8080);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.project[Symbol.asyncDispose]();
    await rm(scrapesOf(this.project.name), { force: true });
    await rm(sdkOf(this.project.name), { force: true, recursive: true });
    await rm(overrideOf(this.project.name), { force: true });
    const images = (await docker('image', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${this.project.name}`))
      .split('\n')
      .filter((id) => id !== '');
    if (images.length > 0) await docker('image', 'rm', '--force', ...new Set(images));
  }
}

/** One gateway of the fleet. */
export class Gateway {
  readonly container: string;
  readonly #project: ComposeProject;

  constructor(project: ComposeProject, container: string) {
    this.#project = project;
    this.container = container;
  }

  async ops(path: string): Promise<Response> {
    return fetch(`http://${await this.#project.published(this.container, 9090)}${path}`, { signal: AbortSignal.timeout(30_000) });
  }

  /** The sum of a metric's samples, of all its labels. */
  async metric(name: string, label = ''): Promise<number> {
    return sumIn(await (await this.ops('/metrics')).text(), name, label);
  }

  /** Resolves when a metric has a value that was waited for. */
  async reaches(name: string, holds: (value: number) => boolean, patienceMs?: number): Promise<void> {
    await until(`${name} of ${this.container}`, () => this.metric(name), holds, patienceMs);
  }
}
