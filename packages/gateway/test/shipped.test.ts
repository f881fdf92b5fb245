import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { warnOfLooseRules } from '../src/auth/start-warnings.ts';
import { DOCUMENTED, KEYS, variableOf } from '../src/config/keys.ts';
import { type Config, loadConfig } from '../src/config.ts';

const ROOT = join(import.meta.dirname, '../../..');
/** What is copied from here into production. */
const FOLDERS = ['deploy', 'k8s', 'examples'];
const DOCUMENTS = shipped('*.md', 'docs/**/*.md', 'packages/*/README.md', 'examples/**/*.md');
/** Where a gateway runs behind the border of a container, and its ops port is reached from others. */
const CONTAINED = ['deploy/busgate.yaml', 'k8s/base/busgate.yaml'];
/** What whoever reads a page has made. */
const READERS_SECRET = 's'.repeat(64);
/** A uid that is nobody's on a node. */
const LEAST_UID = 10_000;
/** Images that run as a user of their own, whatever is said. */
const OF_THEIR_OWN_USER = ['haproxy:', 'prom/prometheus', 'grafana/grafana:'];

function shipped(...patterns: readonly string[]): readonly string[] {
  return globSync([...patterns], { cwd: ROOT, exclude: ['**/node_modules/**'] }).toSorted();
}

function read(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8');
}

/** Every configuration that is there to be copied, with the name of where it stands. */
const CONFIGS: readonly (readonly [name: string, yaml: string])[] = [
  ...shipped(...CONTAINED, 'examples/*/busgate.yaml').map((name) => [name, read(name)] as const),
  ...DOCUMENTS.flatMap((name) =>
    [...read(name).matchAll(/^```ya?ml\n(.*?)^```/gms)].map(([, yaml = ''], index) => [`${name} ${index + 1}`, yaml] as const),
  ).filter(([, yaml]) => /^routes:/m.test(yaml)),
];

/** What the program makes of one. What it says of clients that are known needs to know somebody. */
function load(name: string, yaml: string): Config {
  const folder = dirname(join(ROOT, name));
  const known = /\b(?:user|token)\b/.test(yaml) && !/^auth:/m.test(yaml) ? ['--auth-http', '{url: "http://app/"}'] : [];
  return loadConfig({
    argv: ['--config', join(folder, 'busgate.yaml'), '--layer', 'redis://redis', ...known],
    env: {},
    readFile: (path) => (basename(path) === 'busgate.yaml' ? yaml : path === 'secret' ? READERS_SECRET : readFileSync(path, 'utf8')),
    descriptors: 1_048_576,
  });
}

describe.each(CONFIGS)('the settings of %s', (name, yaml) => {
  test('let nobody publish, and no demo run', () => {
    const { routes, demo } = load(name, yaml);
    expect(routes.filter((route) => 'publish' in route && route.publish !== 'nobody')).toEqual([]);
    expect(demo).toBe(false);
  });

  test('open nothing of which an operator would be warned', () => {
    const warnings: string[] = [];
    warnOfLooseRules(load(name, yaml), { warn: (message) => void warnings.push(message) });
    expect(warnings).toEqual([]);
  });

  test('have the ops port on loopback, but in a container', () => {
    expect(load(name, yaml).ops.host).toBe(CONTAINED.includes(name) ? '*' : 'localhost');
  });
});

test('the configurations are found', () => {
  expect(CONFIGS.map(([name]) => name)).toEqual(expect.arrayContaining([...CONTAINED, 'README.md 1', 'docs/guides/auth.md 1', 'examples/chat/busgate.yaml']));
});

describe('a secret', () => {
  const files = [...shipped(...FOLDERS.map((folder) => `${folder}/**/*.*`)), ...shipped('deploy/**/Dockerfile'), ...DOCUMENTS];

  test('stands in no file: no key, and no URL with a password but in words that say that it is one', () => {
    const found = files.flatMap((name) =>
      [...read(name).matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY|\b[a-z]+:\/\/[^\s/:@'"`]*:(?!password|secret)[^\s/:@'"`]+@/g)].map(
        ([match]) => `${name}: ${match}`,
      ),
    );
    expect(found).toEqual([]);
  });

  test('comes from a file of its own wherever a gateway is given one: the layer’s URL, the key of the ops API, keys of tokens', () => {
    const secrets = KEYS.filter((key) => DOCUMENTED[key].secret === true).map(variableOf);
    expect(secrets).toEqual(expect.arrayContaining(['BUSGATE_LAYER', 'BUSGATE_OPS_KEY']));
    const given = new RegExp(String.raw`\b(?:${secrets.join('|')})\b(?!_FILE)\s*[:=]|name: (?:${secrets.join('|')})$|^\s*key: (?!')\S+$`, 'm');
    expect(files.filter((name) => !name.endsWith('.md') && given.test(read(name)))).toEqual([]);
    for (const [name, yaml] of CONFIGS) expect(load(name, yaml).ops.key, name).toBeUndefined();
  });
});

interface Service {
  readonly image?: string;
  readonly build?: unknown;
  readonly pull_policy?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly ports?: readonly string[];
  readonly privileged?: boolean;
  readonly extends?: unknown;
  readonly deploy?: { readonly resources?: { readonly limits?: { readonly memory?: string } } };
}

/** With the variables as they are where nobody has set them. */
function servicesOf(name: string): readonly (readonly [string, Service])[] {
  const text = read(name).replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
  const { services } = parse(text, { merge: true, logLevel: 'silent' }) as { readonly services: Readonly<Record<string, Service>> };
  return Object.entries(services);
}

describe('containers', () => {
  test.each(shipped(...FOLDERS.map((folder) => `${folder}/**/Dockerfile`)))('%s runs as nobody of the machine', (name) => {
    const [, uid] =
      /^USER (\d+):\d+$/m.exec(
        read(name)
          .split(/^FROM /m)
          .at(-1) ?? '',
      ) ?? [];
    expect(Number(uid)).toBeGreaterThan(LEAST_UID);
  });

  test.each(servicesOf('deploy/docker-compose.yml').filter(([, service]) => service.extends === undefined))(
    'the service %s may write nothing and do nothing of root’s, and has a limit of its memory',
    (_, service) => {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        deploy: { resources: { limits: { memory: expect.stringMatching(/^\d+M$/) } } },
      });
      expect(service.privileged).toBeUndefined();
      const isOwn = service.build !== undefined || OF_THEIR_OWN_USER.some((image) => service.image?.startsWith(image) === true);
      if (!isOwn) expect(Number(service.user?.split(':')[0])).toBeGreaterThan(LEAST_UID);
    },
  );

  test('what Compose publishes is on loopback, and no gateway’s ops port is among it', () => {
    const published = ['deploy/docker-compose.yml', 'examples/django/docker-compose.yml']
      .flatMap(servicesOf)
      .map(([name, { ports = [] }]) => [name, ports] as const);
    expect(published.flatMap(([, ports]) => ports).filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect(published.filter(([name, ports]) => name.includes('gateway') && ports.length > 0)).toEqual([]);
  });

  test('Compose runs no image that is a different one tomorrow, and builds nothing but what is missing', () => {
    const services = servicesOf('deploy/docker-compose.yml').filter(([, { extends: base }]) => base === undefined);
    const others = services.filter(([, { build }]) => build === undefined);
    expect(others.map(([, { image }]) => image).filter((image) => !/^[a-z/-]+:v?\d[\w.-]*$/.test(image ?? ''))).toEqual([]);
    expect(services.filter(([, { build }]) => build !== undefined).map(([, service]) => service.pull_policy)).toEqual(['never', 'never']);
  });

  test('each port and each image of Compose is a variable, which its page names', () => {
    const text = read('deploy/docker-compose.yml');
    const page = read('docs/deploy/compose.md');
    const lines = text.split('\n').filter((line) => /^ +(?:image: (?!busgate-demo)|- '\d[\d.]*:)/.test(line));
    expect(lines.length).toBeGreaterThanOrEqual(10);
    expect(lines.filter((line) => !/\$\{[A-Z_]+:-[^}]+\}/.test(line))).toEqual([]);
    const said = [...text.matchAll(/\$\{([A-Z_]+):-([^}]+)\}/g)].map(([, name, value]) => `| \`${name}\` | \`${value}\` |`);
    const rows = page.replaceAll(/ +\|/g, ' |');
    expect(said.filter((row) => !rows.includes(row))).toEqual([]);
  });

  test('what Kubernetes runs is nobody, may write nothing, and has limits', () => {
    const deployments = manifests().filter(({ kind }) => kind === 'Deployment');
    expect(deployments.length).toBeGreaterThanOrEqual(2);
    for (const { spec } of deployments as readonly { readonly spec: { readonly template: { readonly spec: Pod } } }[]) {
      const { securityContext, containers, ...pod } = spec.template.spec;
      expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(securityContext['runAsUser']).toBeGreaterThan(LEAST_UID);
      for (const container of containers) {
        expect(container).toMatchObject({
          securityContext: { privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
          resources: { limits: { cpu: expect.anything(), memory: expect.anything(), 'ephemeral-storage': expect.anything() } },
        });
      }
    }
  });

  test('the service that clients reach has no ops port, and Ingresses name no other', () => {
    const services = manifests().filter(({ kind, metadata }) => kind === 'Service' && metadata.name === 'busgate');
    expect(services).toMatchObject([{ spec: { ports: [{ name: 'http' }] } }]);
    const ingresses = JSON.stringify(manifests().filter(({ kind }) => kind === 'Ingress'));
    expect(ingresses).toContain('"name":"busgate"');
    expect(ingresses).not.toMatch(/"ops"|9090/);
  });
});

interface Pod {
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly unknown[];
}

function manifests(): readonly { readonly kind: string; readonly metadata: { readonly name: string }; readonly spec: unknown }[] {
  const documents = shipped('k8s/**/*.yaml').flatMap((name) =>
    parseAllDocuments(read(name)).map((document) => document.toJS({}) as Record<string, unknown> | null),
  );
  return documents.filter((document) => document !== null && 'spec' in document && 'metadata' in document) as unknown as ReturnType<typeof manifests>;
}
