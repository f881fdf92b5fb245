import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { outcomeOf, outputOf, ROOT } from './commands.ts';

type Labels = Readonly<Record<string, string>>;

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
}

interface Port {
  name?: string;
  port: number;
  targetPort?: number | string;
}

interface Probe {
  httpGet?: { path: string; port: string | number };
  tcpSocket?: { port: string | number };
  periodSeconds?: number;
  failureThreshold?: number;
}

export interface Container {
  name: string;
  image: string;
  env?: { name: string; value?: string }[];
  ports?: { name?: string; containerPort: number }[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  lifecycle?: object;
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  securityContext?: Record<string, unknown>;
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds?: number;
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; fsGroup?: number; seccompProfile?: { type: string } };
  topologySpreadConstraints?: { topologyKey: string; labelSelector: { matchLabels: Labels } }[];
  containers: Container[];
  volumes?: { name: string; configMap?: { name: string }; secret?: { secretName: string; items?: { key: string; path: string }[] } }[];
}

export interface Deployment extends Manifest {
  spec: {
    replicas?: number;
    strategy?: { type: string; rollingUpdate?: { maxUnavailable: number | string; maxSurge: number | string } };
    selector: { matchLabels: Labels };
    template: { metadata: { labels: Labels }; spec: PodSpec };
  };
}

interface Service extends Manifest {
  spec: { selector: Labels; ports: Port[]; sessionAffinity?: string };
}

interface Autoscaler extends Manifest {
  spec: {
    scaleTargetRef: { kind: string; name: string };
    minReplicas: number;
    maxReplicas: number;
    metrics: {
      type: string;
      pods?: { metric: { name: string }; target: { averageValue: string } };
      resource?: { name: string; target: { averageValue: string } };
    }[];
    behavior: { scaleDown: { stabilizationWindowSeconds: number; policies: { type: string; value: number; periodSeconds: number }[] } };
  };
}

interface DisruptionBudget extends Manifest {
  spec: { minAvailable?: number | string; maxUnavailable?: number | string; selector: { matchLabels: Labels } };
}

interface PolicyRule {
  from?: object[];
  to?: object[];
  ports?: { port: number | string; protocol: string }[];
}

interface NetworkPolicy extends Manifest {
  spec: { podSelector: { matchLabels: Labels }; policyTypes: string[]; ingress: PolicyRule[]; egress: PolicyRule[] };
}

interface Ingress extends Manifest {
  spec: { rules: { http: { paths: { backend: { service: { name: string; port: { name?: string; number?: number } } } }[] } }[] };
}

interface ServiceMonitor extends Manifest {
  spec: { selector: { matchLabels: Labels }; endpoints: { port: string; path: string; interval: string; scrapeTimeout: string }[] };
}

interface Kinds {
  Deployment: Deployment;
  Service: Service;
  HorizontalPodAutoscaler: Autoscaler;
  PodDisruptionBudget: DisruptionBudget;
  NetworkPolicy: NetworkPolicy;
  Ingress: Ingress;
  ServiceMonitor: ServiceMonitor;
  ServiceAccount: Manifest & { automountServiceAccountToken?: boolean };
  ConfigMap: Manifest & { data: Record<string, string> };
  Secret: Manifest & { data: Record<string, string> };
}

/** Everything that `kubectl kustomize` makes of one folder. */
export class Manifests {
  readonly all: readonly Manifest[];

  constructor(all: readonly Manifest[]) {
    this.all = all;
  }

  static parse(text: string): Manifests {
    // As the API server reads it: YAML 1.1, where 0440 is octal.
    return new Manifests(parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as Manifest));
  }

  of<K extends keyof Kinds>(kind: K): Kinds[K][] {
    return this.all.filter((manifest): manifest is Kinds[K] => manifest.kind === kind);
  }

  /** The one of this name; throws where there is none. */
  get<K extends keyof Kinds>(kind: K, name: string): Kinds[K] {
    const found = this.of(kind).find(({ metadata }) => metadata.name === name);
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
    return found;
  }

  /** What is changed in the copy leaves this as it is. */
  copy(): Manifests {
    return new Manifests(structuredClone(this.all));
  }
}

/** The folders of `k8s/` that a user applies. */
export async function applicable(): Promise<string[]> {
  const folders = await Promise.all(
    ['overlays', 'examples'].map(async (parent) => (await readdir(join(ROOT, 'k8s', parent))).map((name) => `${parent}/${name}`)),
  );
  return folders.flat();
}

export function render(folder: string): Promise<string> {
  return outputOf('kubectl', ['kustomize', join(ROOT, 'k8s', folder)]);
}

/** Throws where there is no kubectl with the kustomize that the overlays are written for. */
export async function requireKubectl(): Promise<void> {
  const needed = 'the tests need kubectl 1.27 or later: https://kubernetes.io/docs/tasks/tools/ (that of Debian 12 is too old)';
  const { stdout } = await outcomeOf('kubectl', ['version', '--client', '--output=json']).catch((cause: unknown) => {
    throw new Error(needed, { cause });
  });
  const { kustomizeVersion = '' } = JSON.parse(stdout || '{}') as { kustomizeVersion?: string };
  if (Number(/^v(\d+)\./.exec(kustomizeVersion)?.[1] ?? 0) < 5) throw new Error(`${needed}; here is kustomize ${kustomizeVersion || 'without a version'}`);
}
