import { isDeepStrictEqual } from 'node:util';
import type { Container, Deployment, Manifest, Manifests, PodSpec } from './manifests.ts';
import { quantity } from './quantities.ts';

type Labels = Readonly<Record<string, string>>;

/** What an API server refuses, or what would quietly not work, and no schema tells. One sentence each. */
export function faultsOf(manifests: Manifests): string[] {
  return [
    ...names(manifests),
    ...standardLabels(manifests),
    ...selectors(manifests),
    ...ports(manifests),
    ...references(manifests),
    ...autoscaling(manifests),
    ...disruptions(manifests),
    ...policies(manifests),
    ...manifests.of('Deployment').flatMap((deployment) => [...resources(deployment), ...hardening(deployment), ...rollouts(deployment)]),
  ];
}

function called({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.name}`;
}

/** Those of `faults` whose condition holds. */
function found(...faults: readonly (readonly [boolean, string])[]): string[] {
  return faults.filter(([holds]) => holds).map(([, fault]) => fault);
}

/** A pod's name is the deployment's with `-<10>-<5>`. */
const POD_SUFFIX = 17;

function names({ all }: Manifests): string[] {
  const seen = new Set<string>();
  return all.flatMap((manifest) => {
    const { name, namespace } = manifest.metadata;
    const most = manifest.kind === 'Deployment' ? 63 - POD_SUFFIX : 63;
    const twice = seen.has(called(manifest));
    seen.add(called(manifest));
    return found(
      [!/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(name), `${called(manifest)}: the name is none`],
      [name.length > most, `${called(manifest)}: the name is longer than ${most}`],
      [twice, `${called(manifest)} is there twice`],
      [manifest.kind !== 'Namespace' && namespace !== 'busgate', `${called(manifest)} is not in the namespace busgate`],
    );
  });
}

function standardLabels({ all }: Manifests): string[] {
  return all.flatMap((manifest) =>
    ['app.kubernetes.io/name', 'app.kubernetes.io/part-of']
      .filter((label) => manifest.metadata.labels?.[label] === undefined)
      .map((label) => `${called(manifest)} has no label ${label}`),
  );
}

function matches(selector: Labels, labels: Labels | undefined): boolean {
  return Object.entries(selector).every(([name, value]) => labels?.[name] === value);
}

/** The deployments whose pods have these labels. */
function selected(manifests: Manifests, selector: Labels): Deployment[] {
  return manifests.of('Deployment').filter(({ spec }) => matches(selector, spec.template.metadata.labels));
}

function selectors(manifests: Manifests): string[] {
  const one = (manifest: Manifest, selector: Labels): string[] =>
    found([
      Object.keys(selector).length === 0 || selected(manifests, selector).length !== 1,
      `${called(manifest)}: the selector does not match one deployment's pods`,
    ]);
  const ofDeployment = (deployment: Deployment): string[] => {
    const { labels } = deployment.spec.template.metadata;
    const spread = deployment.spec.template.spec.topologySpreadConstraints ?? [];
    return found(
      [!matches(deployment.spec.selector.matchLabels, labels), `${called(deployment)}: the selector does not match the labels of its pods`],
      [spread.some(({ labelSelector }) => !matches(labelSelector.matchLabels, labels)), `${called(deployment)}: a spread constraint does not match its pods`],
    );
  };
  return [
    ...manifests.of('Deployment').flatMap(ofDeployment),
    ...manifests.of('Service').flatMap((service) => one(service, service.spec.selector)),
    ...manifests.of('PodDisruptionBudget').flatMap((budget) => one(budget, budget.spec.selector.matchLabels)),
    ...manifests.of('NetworkPolicy').flatMap((policy) => one(policy, policy.spec.podSelector.matchLabels)),
  ];
}

function portOf(container: Container | undefined, port: string | number | undefined): number | undefined {
  return container?.ports?.find(({ name, containerPort }) => port === name || port === containerPort)?.containerPort;
}

function ports(manifests: Manifests): string[] {
  const ofDeployment = (deployment: Deployment): string[] =>
    deployment.spec.template.spec.containers.flatMap((container) => {
      const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe].filter((probe) => probe !== undefined);
      const bad = (container.ports ?? []).filter(({ name = 'x' }) => name.length > 15 || !/^(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name));
      return [
        ...bad.map(({ name }) => `${called(deployment)}: the port name ${name} is none`),
        ...probes
          .filter(({ httpGet, tcpSocket }) => portOf(container, (httpGet ?? tcpSocket)?.port) === undefined)
          .map(() => `${called(deployment)}: a probe asks a port that ${container.name} has not`),
      ];
    });
  const ofServices = manifests.of('Service').flatMap((service) => {
    const [container] = selected(manifests, service.spec.selector)[0]?.spec.template.spec.containers ?? [];
    return service.spec.ports
      .filter(({ port, targetPort }) => portOf(container, targetPort ?? port) === undefined)
      .map(({ port }) => `${called(service)}: port ${port} leads to none of the pod's`);
  });
  const ofIngresses = manifests.of('Ingress').flatMap((ingress) =>
    ingress.spec.rules
      .flatMap(({ http }) => http.paths.map(({ backend }) => backend.service))
      .filter(({ name, port }) => {
        const service = manifests.of('Service').find(({ metadata }) => metadata.name === name);
        return !service?.spec.ports.some((offered) => offered.name === port.name || offered.port === port.number);
      })
      .map(({ name }) => `${called(ingress)}: the service ${name} has no such port`),
  );
  return [...manifests.of('Deployment').flatMap(ofDeployment), ...ofServices, ...ofIngresses];
}

/** Config maps, secrets and service accounts that a pod names are there. */
function references(manifests: Manifests): string[] {
  return manifests.of('Deployment').flatMap((deployment) => {
    const { serviceAccountName, volumes = [], containers } = deployment.spec.template.spec;
    const named: [kind: string, name: string | undefined][] = [
      ['ServiceAccount', serviceAccountName],
      ...volumes.map(({ configMap, secret }): [string, string | undefined] => (configMap ? ['ConfigMap', configMap.name] : ['Secret', secret?.secretName])),
    ];
    const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
    return [
      ...named
        .filter(([kind, name]) => name !== undefined && !manifests.all.some((manifest) => manifest.kind === kind && manifest.metadata.name === name))
        .map(([kind, name]) => `${called(deployment)}: there is no ${kind} ${name}`),
      ...found([!isDeepStrictEqual(mounted.toSorted(), volumes.map(({ name }) => name).toSorted()), `${called(deployment)}: volumes and mounts differ`]),
    ];
  });
}

function autoscaling(manifests: Manifests): string[] {
  return manifests.of('HorizontalPodAutoscaler').flatMap((autoscaler) => {
    const { scaleTargetRef, minReplicas, maxReplicas, metrics, behavior } = autoscaler.spec;
    const target = manifests.of('Deployment').find(({ kind, metadata }) => kind === scaleTargetRef.kind && metadata.name === scaleTargetRef.name);
    const values = metrics.map(({ pods, resource }) => (pods ?? resource)?.target.averageValue);
    return found(
      [target === undefined, `${called(autoscaler)}: what it scales is not there`],
      [target?.spec.replicas !== undefined, `${called(autoscaler)}: its deployment says replicas too, and would undo it with each apply`],
      [!(minReplicas >= 2 && minReplicas < maxReplicas), `${called(autoscaler)}: minReplicas ${minReplicas} and maxReplicas ${maxReplicas}`],
      [values.some((value) => quantity(value) === undefined), `${called(autoscaler)}: a target is no quantity`],
      [
        behavior.scaleDown.stabilizationWindowSeconds < 300 || behavior.scaleDown.policies.some(({ type, value }) => type !== 'Pods' || value > 1),
        `${called(autoscaler)}: shrinks fast`,
      ],
    );
  });
}

function disruptions(manifests: Manifests): string[] {
  return manifests.of('PodDisruptionBudget').flatMap((budget) => {
    const { minAvailable, maxUnavailable, selector } = budget.spec;
    const [deployment] = selected(manifests, selector.matchLabels);
    const autoscaler = manifests.of('HorizontalPodAutoscaler').find(({ spec }) => spec.scaleTargetRef.name === deployment?.metadata.name);
    const least = autoscaler?.spec.minReplicas ?? deployment?.spec.replicas ?? 1;
    const room = maxUnavailable === undefined ? least - Number(minAvailable) : Number(maxUnavailable);
    return found(
      [(minAvailable === undefined) === (maxUnavailable === undefined), `${called(budget)}: one of minAvailable and maxUnavailable must be said`],
      [!(room >= 1 && room < least), `${called(budget)}: lets ${room} of ${least} pods go`],
    );
  });
}

function policies(manifests: Manifests): string[] {
  return manifests.of('NetworkPolicy').flatMap((policy) => {
    const { policyTypes, ingress } = policy.spec;
    const openPorts = ingress.filter(({ from = [] }) => from.length === 0).flatMap(({ ports: named }) => (named ?? [{ port: 'any' }]).map(({ port }) => port));
    return found(
      [!['Ingress', 'Egress'].every((type) => policyTypes.includes(type)), `${called(policy)}: leaves a direction open`],
      [openPorts.some((port) => port !== 'http' && port !== 8080), `${called(policy)}: more than the public port is open to everybody`],
    );
  });
}

function resources(deployment: Deployment): string[] {
  return deployment.spec.template.spec.containers.flatMap(({ resources: { requests = {}, limits = {} } = {} }) => [
    ...['cpu', 'memory', 'ephemeral-storage'].flatMap((name) =>
      found([requests[name] === undefined || limits[name] === undefined, `${called(deployment)}: no request and limit of ${name}`]),
    ),
    ...[...Object.values(requests), ...Object.values(limits)]
      .filter((written) => quantity(written) === undefined)
      .map((written) => `${called(deployment)}: ${written} is no quantity`),
    ...Object.keys(requests)
      .filter((name) => Number(quantity(requests[name])) > Number(quantity(limits[name])))
      .map((name) => `${called(deployment)}: requests more ${name} than its limit`),
  ]);
}

/** A uid that is nobody's on a node. */
const LEAST_UID = 10_000;

function hardening(deployment: Deployment): string[] {
  const pod: PodSpec = deployment.spec.template.spec;
  const { runAsNonRoot, runAsUser = 0, seccompProfile } = pod.securityContext ?? {};
  const loose = pod.containers.filter(({ securityContext = {} }) => {
    const { privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext;
    const closed = privileged === false && allowPrivilegeEscalation === false && readOnlyRootFilesystem === true;
    return !closed || !isDeepStrictEqual(capabilities, { drop: ['ALL'] });
  });
  return found(
    [pod.automountServiceAccountToken !== false, `${called(deployment)}: mounts a service account's token`],
    [pod.enableServiceLinks !== false, `${called(deployment)}: takes variables of other services`],
    [runAsNonRoot !== true || runAsUser <= LEAST_UID, `${called(deployment)}: runs as ${runAsUser}`],
    [seccompProfile?.type !== 'RuntimeDefault', `${called(deployment)}: no seccomp profile`],
    [loose.length > 0, `${called(deployment)}: a container has privileges or may write`],
    [pod.containers.some(({ image }) => !/:[^:/]+$/.test(image) || image.endsWith(':latest')), `${called(deployment)}: an image without a version`],
  );
}

function rollouts(deployment: Deployment): string[] {
  const { type, rollingUpdate } = deployment.spec.strategy ?? {};
  const steady = type === 'RollingUpdate' && rollingUpdate?.maxUnavailable === 0 && Number(rollingUpdate.maxSurge) >= 1;
  return found([type !== 'Recreate' && !steady, `${called(deployment)}: a rollout takes pods away before others are there`]);
}
