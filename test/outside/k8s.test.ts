import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, type Config } from '../../packages/gateway/src/config.ts';
import { METRICS } from '../../packages/gateway/src/metrics.ts';
import { startGateway } from '../support/processes.ts';
import { outcomeOf, ROOT } from './support/commands.ts';
import { faultsOf } from './support/manifest-rules.ts';
import { applicable, type Container, Manifests, render, requireKubectl } from './support/manifests.ts';
import { PythonEnvironment } from './support/python.ts';
import { quantity } from './support/quantities.ts';

/** The oldest release that the manifests are for, and the newest whose schemas are to be had. */
const RELEASES = ['1.27', '1.37'];
/** Kinds of the Prometheus operator. */
const OPERATOR = ['PrometheusRule', 'ServiceMonitor'];

await requireKubectl();
const folders = await applicable();
const rendered = new Map(await Promise.all(folders.map(async (folder) => [folder, await render(folder)] as const)));

function manifestsOf(folder: string): Manifests {
  return Manifests.parse(rendered.get(folder) as string);
}

/** A file inside the gateway's container: what a config map or a secret has there. */
function fileInPod(manifests: Manifests, container: Container, path: string): string {
  const { volumes = [] } = manifests.get('Deployment', 'busgate').spec.template.spec;
  const mount = container.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const volume = volumes.find(({ name }) => name === mount?.name);
  const key = path.slice((mount?.mountPath.length ?? 0) + 1);
  const content = volume?.configMap
    ? manifests.get('ConfigMap', volume.configMap.name).data[key]
    : Buffer.from(manifests.get('Secret', volume?.secret?.secretName ?? '').data[key] ?? '', 'base64').toString();
  if (!content) throw new Error(`there is no ${path} in the pod`);
  return content;
}

/** What the program itself makes of the pod's environment and files. */
function configInPod(manifests: Manifests): Config {
  const container = gatewayOf(manifests);
  const env = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
  return loadConfig({ argv: [], env, descriptors: 1_048_576, readFile: (path) => fileInPod(manifests, container, path) });
}

function gatewayOf(manifests: Manifests): Container {
  return manifests.get('Deployment', 'busgate').spec.template.spec.containers[0] as Container;
}

/** Whether these labels are those of the gateway's pods, and of no others: a pod that is under two budgets is never evicted. */
function coversOnly(manifests: Manifests, labels: Readonly<Record<string, string>>): boolean {
  const covered = manifests.of('Deployment').filter(({ spec }) => {
    const own = spec.template.metadata.labels;
    return Object.entries(labels).every(([name, value]) => own[name] === value);
  });
  return covered.map(({ metadata }) => metadata.name).join() === 'busgate';
}

/** The default port of the layer's broker. */
function brokerPort({ layer }: Config): number {
  const { port, protocol } = new URL(layer);
  return Number(port) || (protocol === 'redis:' ? 6379 : 4222);
}

describe.each(folders)('k8s/%s', (folder) => {
  const manifests = manifestsOf(folder);
  const { spec } = manifests.get('Deployment', 'busgate');
  const container = gatewayOf(manifests);
  const config = configInPod(manifests);

  test('has nothing that an API server refuses', () => {
    expect(faultsOf(manifests)).toEqual([]);
  });

  test('names the ports that the program listens on', () => {
    expect(container.ports).toEqual([
      { name: 'http', containerPort: config.port },
      { name: 'ops', containerPort: config.ops.port },
    ]);
  });

  test('gives the drain the time that it takes', () => {
    const grace = (spec.template.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    expect(grace).toBeGreaterThanOrEqual(config.drain.deadline + 5000);
    expect(container.lifecycle, 'the program itself goes on accepting for drain.notice').toBeUndefined();
    const { periodSeconds = 10, failureThreshold = 3 } = container.readinessProbe ?? {};
    expect(periodSeconds * failureThreshold * 1000).toBeLessThan(config.drain.notice);
  });

  test('is asked on the ops port, and a broker away restarts no pod', () => {
    expect([container.startupProbe, container.livenessProbe, container.readinessProbe].map((probe) => probe?.httpGet)).toEqual([
      { path: '/healthz', port: 'ops' },
      { path: '/healthz', port: 'ops' },
      { path: '/readyz', port: 'ops' },
    ]);
  });

  test('attack 109: of nodes that are drained at once, one pod goes, and the next one when there is another in its place', () => {
    const budgets = manifests.of('PodDisruptionBudget').map(({ spec: budget }) => budget);
    expect(budgets).toEqual([
      { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: expect.toSatisfy((labels) => coversOnly(manifests, labels)) } },
    ]);
    expect(manifests.get('HorizontalPodAutoscaler', 'busgate').spec.minReplicas).toBeGreaterThan(1);
  });

  test('scales by a metric of the program, before its limits', () => {
    const [sessions, cpu] = manifests.get('HorizontalPodAutoscaler', 'busgate').spec.metrics;
    expect(METRICS.map(({ name }) => name)).toContain(sessions?.pods?.metric.name);
    expect(quantity(sessions?.pods?.target.averageValue)).toBeLessThan(config.limits.sessions);
    expect(cpu?.resource?.name).toBe('cpu');
    expect(quantity(cpu?.resource?.target.averageValue)).toBeLessThan(1);
  });

  test('keeps what waits for slow readers well under the memory limit', () => {
    expect(config.limits.outboxTotal).toBeLessThanOrEqual((quantity(container.resources?.limits?.['memory']) ?? 0) / 2);
  });

  test('lets the pods reach names and the broker, and only monitoring reach the ops port', () => {
    const { ingress, egress } = manifests.get('NetworkPolicy', 'busgate').spec;
    expect(egress.flatMap(({ ports = [] }) => ports.map(({ port }) => port))).toEqual([53, 53, brokerPort(config)]);
    expect(ingress.filter(({ ports = [] }) => ports.some(({ port }) => port === 'ops'))).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } },
            podSelector: { matchLabels: { 'app.kubernetes.io/name': 'prometheus' } },
          },
        ],
        ports: [{ port: 'ops', protocol: 'TCP' }],
      },
    ]);
  });

  test('runs the version of this tree', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'packages/gateway/package.json'), 'utf8')) as { version: string };
    expect(container.image).toBe(`busgate:${version}`);
    expect(spec.template.metadata.labels['app.kubernetes.io/version']).toBe(version);
  });

  test('has a namespace that lets no privileged pod in, and an account without a token', () => {
    const namespace = manifests.all.find(({ kind }) => kind === 'Namespace');
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'baseline', 'pod-security.kubernetes.io/warn': 'restricted' });
    expect(manifests.get('ServiceAccount', 'busgate').automountServiceAccountToken).toBe(false);
  });

  test("has the operator's kinds only where monitoring is asked for", () => {
    const kinds = manifests.all.map(({ kind }) => kind).filter((kind) => OPERATOR.includes(kind));
    expect(kinds.toSorted()).toEqual(folder === 'overlays/monitoring' ? OPERATOR : []);
  });
});

describe('the schemas of Kubernetes', () => {
  let python: PythonEnvironment;
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'busgate-manifests-'));
    python = await PythonEnvironment.with('kubernetes-validate==1.37.0');
  });
  afterAll(async () => {
    await python?.[Symbol.asyncDispose]();
    await rm(scratch, { recursive: true, force: true });
  });

  async function validate(text: string, release: string): Promise<{ code: number | null; said: string[] }> {
    const file = join(scratch, 'manifests.yaml');
    await writeFile(file, text);
    const { code, stdout, stderr } = await outcomeOf(python.command('kubernetes-validate'), ['--strict', '-k', release, file]);
    return { code, said: (stdout + stderr).split('\n').filter((line) => line !== '' && !line.startsWith('INFO')) };
  }

  test.each(folders)('know every field and type of k8s/%s', async (folder) => {
    const own =
      rendered
        .get(folder)
        ?.split(/^---$/m)
        .filter((text) => !OPERATOR.some((kind) => text.includes(`kind: ${kind}\n`))) ?? [];
    for (const release of RELEASES) {
      expect(await validate(own.join('---'), release)).toEqual({ code: 0, said: [] });
    }
  });

  test.each([
    ['an unknown field', 'enableServiceLinks: false', 'enableServiceLink: false'],
    ['a wrong type', 'terminationGracePeriodSeconds: 90', 'terminationGracePeriodSeconds: long'],
  ])('find %s', async (_, text, fault) => {
    const good = rendered.get('overlays/redis') as string;
    expect(good).toContain(text);
    expect((await validate(good.replace(text, fault), '1.37')).code).not.toBe(0);
  });
});

describe('the rules for manifests find', () => {
  const plant = (change: (manifests: Manifests) => void): string[] => {
    const manifests = manifestsOf('examples/ingress').copy();
    change(manifests);
    return faultsOf(manifests);
  };
  const pod = (manifests: Manifests) => manifests.get('Deployment', 'busgate').spec.template.spec;

  test.each<[string, (manifests: Manifests) => void, RegExp]>([
    ['a selector that matches nothing', (m) => Object.assign(m.get('Service', 'busgate').spec.selector, { extra: 'x' }), /selector/],
    [
      'pods that their deployment does not know',
      (m) => delete (m.get('Deployment', 'busgate').spec.template.metadata.labels as Record<string, string>)['app.kubernetes.io/component'],
      /selector/,
    ],
    ['an autoscaler whose least is its most', (m) => Object.assign(m.get('HorizontalPodAutoscaler', 'busgate').spec, { minReplicas: 12 }), /minReplicas/],
    [
      'an autoscaler that shrinks fast',
      (m) => Object.assign(m.get('HorizontalPodAutoscaler', 'busgate').spec.behavior.scaleDown, { stabilizationWindowSeconds: 0 }),
      /shrinks/,
    ],
    ['replicas beside an autoscaler', (m) => Object.assign(m.get('Deployment', 'busgate').spec, { replicas: 3 }), /replicas/],
    ['a budget with both limits', (m) => Object.assign(m.get('PodDisruptionBudget', 'busgate').spec, { minAvailable: 1 }), /one of/],
    ['a budget without room', (m) => Object.assign(m.get('PodDisruptionBudget', 'busgate').spec, { maxUnavailable: undefined, minAvailable: 3 }), /lets 0/],
    ['a quantity that is none', (m) => Object.assign(gatewayOf(m).resources?.limits ?? {}, { memory: '512MiB' }), /quantity/],
    ['a request above its limit', (m) => Object.assign(gatewayOf(m).resources?.requests ?? {}, { cpu: '3' }), /requests more cpu/],
    ['a port name too long', (m) => Object.assign(gatewayOf(m).ports?.[1] ?? {}, { name: 'operations-of-the-gateway' }), /port name/],
    ['a probe without its port', (m) => Object.assign(gatewayOf(m).readinessProbe?.httpGet ?? {}, { port: 'probe' }), /probe/],
    ['a service that leads nowhere', (m) => Object.assign(m.get('Service', 'busgate').spec.ports[0] ?? {}, { targetPort: 'web' }), /leads to none/],
    ['an ingress that leads nowhere', (m) => Object.assign(m.get('Service', 'busgate').spec.ports[0] ?? {}, { name: 'web' }), /no such port/],
    ['a secret that is not there', (m) => Object.assign(m.of('Secret')[0]?.metadata ?? {}, { name: 'other' }), /no Secret/],
    ['an ops port open to everybody', (m) => delete (m.get('NetworkPolicy', 'busgate').spec.ingress[1] as { from?: object[] }).from, /public port/],
    ['a name too long', (m) => Object.assign(m.get('Deployment', 'busgate').metadata, { name: 'b'.repeat(60) }), /longer/],
    ['a user of the node', (m) => Object.assign(pod(m).securityContext ?? {}, { runAsUser: 1000 }), /runs as 1000/],
    ['a root file system to write to', (m) => Object.assign(gatewayOf(m).securityContext ?? {}, { readOnlyRootFilesystem: false }), /privileges/],
    ['a token', (m) => Object.assign(pod(m), { automountServiceAccountToken: true }), /token/],
    ['an image of any version', (m) => Object.assign(gatewayOf(m), { image: 'busgate:latest' }), /version/],
    [
      'a rollout that begins by taking away',
      (m) => Object.assign(m.get('Deployment', 'busgate').spec.strategy?.rollingUpdate ?? {}, { maxUnavailable: 1 }),
      /rollout/,
    ],
  ])('%s', (_, change, told) => {
    expect(plant(change)).toContainEqual(expect.stringMatching(told));
  });
});

describe('k8s/components/monitoring', () => {
  const manifests = manifestsOf('overlays/monitoring');
  const file = async (path: string): Promise<unknown> => parse(await readFile(join(ROOT, path), 'utf8')) as unknown;

  test('has the alert rules of compose', async () => {
    const rule = manifests.all.find(({ kind }) => kind === 'PrometheusRule') as unknown as Record<string, unknown>;
    expect(rule['apiVersion']).toBe('monitoring.coreos.com/v1');
    expect(rule['spec']).toEqual(await file('deploy/prometheus/rules.yml'));
  });

  test('has a monitor that finds the ops port of every pod, also of one that drains', () => {
    const [monitor] = manifests.of('ServiceMonitor');
    const services = manifests
      .of('Service')
      .filter(({ metadata }) => Object.entries(monitor?.spec.selector.matchLabels ?? {}).every(([name, value]) => metadata.labels?.[name] === value));
    expect(services.map(({ metadata }) => metadata.name)).toEqual(['busgate-ops']);
    expect(services[0]?.spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      ports: [{ name: 'ops', port: configInPod(manifests).ops.port }],
    });
    expect(monitor?.spec).toEqual({ selector: monitor?.spec.selector, endpoints: [{ port: 'ops', path: '/metrics', interval: '15s', scrapeTimeout: '5s' }] });
  });

  test('has a rule for the adapter that serves the metric of the autoscaler', async () => {
    const { rules } = (await file('k8s/components/monitoring/adapter-rules.yaml')) as { rules: { name: { as: string }; metricsQuery: string }[] };
    const [metric] = manifests.get('HorizontalPodAutoscaler', 'busgate').spec.metrics;
    expect(rules.map(({ name }) => name.as)).toEqual([metric?.pods?.metric.name]);
    expect(rules[0]?.metricsQuery).toBe(`sum(${metric?.pods?.metric.name}{<<.LabelMatchers>>}) by (<<.GroupBy>>)`);
  });
});

test('the program answers what the probes ask', async () => {
  await using gateway = await startGateway({ args: ['--demo'] });
  const statuses = await Promise.all(['/healthz', '/readyz'].map(async (path) => (await fetch(gateway.ops(path))).status));
  expect(statuses).toEqual([200, 200]);
});

test('the ingress keeps no client at one pod, and waits longer than a heartbeat', () => {
  const manifests = manifestsOf('examples/ingress');
  const { heartbeat } = configInPod(manifests);
  const annotations = manifests.get('Ingress', 'busgate').metadata.annotations ?? {};
  expect(Object.keys(annotations).filter((name) => /affinity|sticky|hash|cookie/.test(name))).toEqual([]);
  const timeout = Number(annotations['nginx.ingress.kubernetes.io/proxy-read-timeout']) * 1000;
  expect(timeout).toBeGreaterThan(heartbeat.interval + heartbeat.timeout);
});
