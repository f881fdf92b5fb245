import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type Config, loadConfig } from '../../packages/gateway/src/config.ts';
import { startRedis } from '../support/brokers.ts';
import { outputOf, ROOT } from './support/commands.ts';

interface Service {
  readonly command?: readonly string[];
  readonly stop_grace_period?: string;
  readonly environment?: Record<string, string>;
  readonly deploy?: { readonly replicas?: number; readonly resources: { readonly limits: { readonly memory: string } } };
}

/** As Compose itself reads it. */
interface ComposedService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Record<string, string>;
  readonly depends_on?: Record<string, unknown>;
  readonly volumes?: readonly { readonly source: string; readonly target: string }[];
  readonly deploy: { readonly resources: { readonly limits: { readonly memory: string } } };
}

interface Collector {
  readonly receivers: { readonly otlp: { readonly protocols: { readonly http: { readonly endpoint: string } } } };
  readonly processors: { readonly memory_limiter: { readonly limit_mib: number } };
  readonly exporters: object;
  readonly service: { readonly pipelines: { readonly traces: Record<'receivers' | 'processors' | 'exporters', readonly string[]> } };
}

interface Deployment {
  readonly spec: {
    readonly template: { readonly spec: { readonly terminationGracePeriodSeconds?: number; readonly containers: readonly { readonly args?: string[] }[] } };
  };
}

/** What a session that does nothing costs HAProxy 2.6: 4.6 KiB measured. */
const PROXIED_BYTES = 5 * 1024;

const { services } = await yaml<{ services: Record<string, Service> }>('deploy/docker-compose.yml');
const { gateway, haproxy, redis } = services;

function text(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8');
}

async function yaml<T>(path: string): Promise<T> {
  return parse(await text(path), { merge: true, logLevel: 'error' }) as T;
}

/** What the program itself makes of the settings that ship. */
async function shipped(path: string): Promise<Config> {
  const [secret, settings] = [await text('deploy/secrets/layer-redis.url'), await text(path)];
  return loadConfig({
    argv: [],
    env: gateway?.environment ?? {},
    descriptors: 1_048_576,
    readFile: (asked) => (asked === '/run/secrets/layer' ? secret : settings),
  });
}

function seconds(duration: string | undefined): number {
  const [, amount, unit] = /^(\d+)(s|m)$/.exec(duration ?? '') ?? [];
  return Number(amount) * (unit === 'm' ? 60 : 1);
}

describe('deploy/docker-compose.yml', () => {
  test('fits the settings that its gateways are given', async () => {
    const config = await shipped('deploy/busgate.yaml');
    expect(config).toMatchObject({ layer: 'redis://redis:6379', port: 8080, ops: { port: 9090 }, demo: false });
    expect(seconds(gateway?.stop_grace_period) * 1000).toBeGreaterThanOrEqual(config.drain.deadline + 5000);
    expect(seconds(haproxy?.stop_grace_period)).toBeGreaterThanOrEqual(seconds(gateway?.stop_grace_period));
    expect(config.limits.outboxTotal).toBeLessThanOrEqual((Number.parseInt(gateway?.deploy?.resources.limits.memory ?? '', 10) * 1024 ** 2) / 2);
  });

  test('has a proxy with room for all sessions that its gateways let in, by descriptors and by memory, and for more gateways', async () => {
    const config = await shipped('deploy/busgate.yaml');
    const proxy = await text('deploy/haproxy/haproxy.cfg');
    const sessions = config.limits.sessions * (gateway?.deploy?.replicas ?? 1);
    expect(descriptorsOf(proxy)).toBeGreaterThan(2 * sessions + 1000);
    expect(Number.parseInt(haproxy?.deploy?.resources.limits.memory ?? '', 10) * 1024 ** 2).toBeGreaterThan(2 * sessions * PROXIED_BYTES);
    expect([...proxy.matchAll(/^ {2}server-template gateway 1-(\d+) /gm)].map(([, most]) => Number(most))).toEqual([100, 100]);
  });

  test('has no secret in it, and none in an image', async () => {
    expect(await text('deploy/docker-compose.yml')).not.toMatch(/(?:redis|nats)s?:\/\/|PASSWORD/);
    expect(await text('.dockerignore')).toMatch(/^\*$/m);
  });
});

test('deploy/proxies/haproxy.cfg has room for all sessions of its three gateways', async () => {
  const { limits } = loadConfig({ argv: ['--demo'], env: {}, descriptors: 20_000, readFile: () => '' });
  const proxy = await text('deploy/proxies/haproxy.cfg');
  expect(proxy.match(/^ {2}server gateway\d /gm)).toHaveLength(6);
  expect(descriptorsOf(proxy)).toBeGreaterThan(2 * 3 * limits.sessions + 1000);
});

/** Descriptors that HAProxy takes at most, where its limit allows them; nothing besides may bound its connections: it would be the first to be met. */
function descriptorsOf(proxy: string): number {
  expect(proxy).not.toMatch(/^\s*maxconn\b/m);
  return Number(/^ {2}fd-hard-limit (\d+)$/m.exec(proxy)?.[1]);
}

function mountsOf({ volumes = [] }: ComposedService): string[] {
  return volumes.map(({ source, target }) => `${relative(ROOT, source)} at ${target}`);
}

describe('the profile tracing', () => {
  const composed = async (): Promise<Record<string, ComposedService>> => {
    const args = ['compose', '--file', join(ROOT, 'deploy/docker-compose.yml'), '--profile', 'tracing', 'config', '--format', 'json'];
    return (JSON.parse(await outputOf('docker', args)) as { services: Record<string, ComposedService> }).services;
  };

  test('is valid, and is a fleet on NATS and a collector, which no other profile begins', async () => {
    const all = await composed();
    expect(Object.keys(all).toSorted()).toEqual(['collector', 'gateway', 'haproxy', 'nats', 'redis', 'tracing-gateway', 'tracing-haproxy']);
    expect(Object.keys(all['tracing-gateway']?.depends_on ?? {}).toSorted()).toEqual(['collector', 'nats']);
    const { services } = await yaml<{ services: Record<string, { profiles?: string[] }> }>('deploy/docker-compose.yml');
    expect([services['nats']?.profiles, services['collector']?.profiles]).toEqual([['nats', 'tracing'], ['tracing']]);
  });

  test('has gateways that are given the SDK of the example, and send where the collector listens', async () => {
    const all = await composed();
    const [traced, collector] = [all['tracing-gateway'] as ComposedService, all['collector'] as ComposedService];
    const settings = await yaml<Collector>('deploy/tracing/collector.yaml');
    const port = settings.receivers.otlp.protocols.http.endpoint.split(':').at(-1);
    expect(traced.environment).toMatchObject({
      BUSGATE_TRACING: 'true',
      NODE_OPTIONS: '--import /sdk/otel.js',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://collector:${port}`,
    });
    expect(mountsOf(traced)).toContain('examples/tracing at /sdk');
    expect(mountsOf(collector)).toEqual(['deploy/tracing/collector.yaml at /etc/otelcol/config.yaml']);
    expect(collector.command).toEqual(['--config=/etc/otelcol/config.yaml']);
    expect(collector.image).toMatch(/^otel\/opentelemetry-collector:\d+\.\d+\.\d+$/);
  });

  test('has a collector whose pipeline is made of what it defines, within its memory', async () => {
    const { receivers, processors, exporters, service } = await yaml<Collector>('deploy/tracing/collector.yaml');
    expect(service.pipelines.traces).toEqual({ receivers: Object.keys(receivers), processors: Object.keys(processors), exporters: Object.keys(exporters) });
    expect(processors.memory_limiter.limit_mib * 1024 ** 2).toBeLessThan(Number((await composed())['collector']?.deploy.resources.limits.memory));
  });
});

describe.each(['deploy/busgate.yaml', 'k8s/base/busgate.yaml'])('%s', (path) => {
  test('lets no client publish, on any route', async () => {
    const { routes } = await shipped(path);
    expect(routes).toMatchObject([{ publish: 'nobody' }, { publish: 'nobody' }]);
  });

  test('has the ops port where the health checks of others reach it', async () => {
    expect((await shipped(path)).ops.host).toBe('*');
  });
});

test('a drain that does not end is told before the container is killed, and never one that ends in time', async () => {
  const { deadline } = (await shipped('deploy/busgate.yaml')).drain;
  const { global } = await yaml<{ global: { scrape_interval: string; evaluation_interval: string } }>('deploy/prometheus/prometheus.yml');
  const { groups } = await yaml<{ groups: { rules: { alert: string; for?: string }[] }[] }>('deploy/prometheus/rules.yml');
  const wait = seconds(groups[0]?.rules.find(({ alert }) => alert === 'BusgateDrainStuck')?.for);
  const [scrape, evaluation] = [seconds(global.scrape_interval), seconds(global.evaluation_interval)];
  // What a gateway said last is seen until it is asked the next time.
  expect(wait).toBeGreaterThanOrEqual(deadline / 1000 + scrape);
  const told = scrape + evaluation + Math.ceil(wait / evaluation) * evaluation;
  const deployment = await yaml<Deployment>('k8s/base/deployment.yaml');
  expect(told).toBeLessThan(seconds(gateway?.stop_grace_period));
  expect(told).toBeLessThan(deployment.spec.template.spec.terminationGracePeriodSeconds ?? 30);
});

async function argsInPod(): Promise<string[]> {
  const [deployment] = parseAllDocuments(await text('k8s/overlays/local/redis.yaml')).map((document) => document.toJS() as Deployment);
  return deployment?.spec.template.spec.containers[0]?.args ?? [];
}

describe('a Redis that ships', () => {
  test.each([
    ['deploy/docker-compose.yml', async () => redis?.command ?? []],
    ['k8s/overlays/local/redis.yaml', argsInPod],
  ])('does not cut off a gateway that is behind for a moment: %s', async (_, argsOf) => {
    const [, ...args] = await argsOf();
    await using broker = await startRedis({ args });
    const client = new Redis(broker.url);
    const [, limits] = (await client.config('GET', 'client-output-buffer-limit')) as string[];
    await client.quit();
    expect(limits).toContain(`pubsub ${64 * 1024 ** 2} ${32 * 1024 ** 2} 60`);
  });
});
