import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Client } from '../e2e/clients.ts';
import { outcomeOf, ROOT } from './support/commands.ts';
import { docker, inspect, requireDocker } from './support/docker.ts';
import { buildImage, RunningContainer } from './support/image.ts';
import { until } from '../support/until.ts';

const IMAGE = `busgate-test-image-${process.pid}`;
const BASE = 'node:24-bookworm-slim';
/** What Busgate may add to its base. */
const MOST_BYTES = 24 * 1024 * 1024;
/** As strict as a container can be, and as nobody in particular. */
const HARDENED = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true', '--user', '23456:23456', '--memory', '256m'];

interface Image {
  readonly Size: number;
  readonly Config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[] | null;
    readonly Env: readonly string[];
    readonly ExposedPorts: Readonly<Record<string, object>>;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Healthcheck: { readonly Test: readonly string[] };
  };
}

interface Bill {
  readonly bomFormat: string;
  readonly components: readonly { readonly purl: string }[];
}

async function imageOf(name: string): Promise<Image> {
  const [image] = JSON.parse(await docker('image', 'inspect', name)) as Image[];
  if (image === undefined) throw new Error(`there is no image ${name}`);
  return image;
}

async function health(container: string): Promise<string> {
  return (await docker('inspect', '--format', '{{.State.Health.Status}}', container)).trim();
}

beforeAll(async () => {
  await requireDocker();
  await buildImage(IMAGE);
});

afterAll(() => docker('image', 'rm', '--force', IMAGE));

describe('the image', () => {
  test('runs the program itself, as nobody of the host', async () => {
    const { Config } = await imageOf(IMAGE);
    expect(Config.Entrypoint).toEqual(['node', '/app/packages/gateway/bin/busgate.js']);
    expect(Config.Cmd ?? []).toEqual([]);
    expect(Config.User).toMatch(/^(\d+):\1$/);
    expect(Number(Config.User.split(':')[0])).toBeGreaterThan(10_000);
    expect(Object.keys(Config.ExposedPorts).toSorted((a, b) => a.localeCompare(b))).toEqual(['8080/tcp', '9090/tcp']);
    expect(Config.Env).toContain('NODE_ENV=production');
  });

  test('says what it is', async () => {
    const { version, license, repository } = JSON.parse(await readFile(join(ROOT, 'packages/gateway/package.json'), 'utf8')) as Record<
      'version' | 'license',
      string
    > & {
      readonly repository: { readonly url: string };
    };
    const { Config } = await imageOf(IMAGE);
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'busgate',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': license,
      'org.opencontainers.image.source': repository.url.replace(/^git\+|\.git$/g, ''),
      'org.opencontainers.image.documentation': expect.stringMatching(/\/docs$/),
    });
  });

  test('holds a bill of materials, which names each package in it with its version and nothing else', async () => {
    const bill = JSON.parse(await docker('run', '--rm', '--entrypoint', 'cat', IMAGE, '/app/sbom.cdx.json')) as Bill;
    expect(bill.bomFormat).toBe('CycloneDX');
    const find = `find -L /app/node_modules -path '*/node_modules/*' -name package.json -not -path '*/test/*'`;
    const script = `for (const path of require('node:child_process').execSync(${JSON.stringify(find)}, { encoding: 'utf8' }).trim().split('\\n')) {
      const { name, version } = JSON.parse(require('node:fs').readFileSync(path, 'utf8'));
      if (/node_modules\\/(@[^/]+\\/)?[^/]+\\/package\\.json$/.test(path)) console.log('pkg:npm/' + name.replace('@', '%40') + '@' + version);
    }`;
    const installed = (await docker('run', '--rm', '--entrypoint', 'node', IMAGE, '-e', script)).trim().split('\n');
    expect(installed.length).toBeGreaterThan(15);
    expect(new Set(bill.components.map(({ purl }) => purl))).toEqual(new Set(installed));
  });

  test("is checked by nothing but the program's own Node", async () => {
    const { Config } = await imageOf(IMAGE);
    expect(Config.Healthcheck.Test.slice(0, 3)).toEqual(['CMD', 'node', '-e']);
    expect(await readFile(join(ROOT, 'deploy/Dockerfile'), 'utf8')).not.toMatch(/^#\s*syntax=/m);
  });

  test('holds production dependencies and built code, and is small', async () => {
    const found = (await docker('run', '--rm', '--entrypoint', 'find', IMAGE, '/app', '-mindepth', '1')).split('\n');
    const packages = found.flatMap((path) => /^\/app\/node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1] ?? []);
    expect(packages).toEqual(
      expect.arrayContaining(['ws', 'prom-client', 'yaml', 'ioredis', 'nats', '@busgate/gateway', '@busgate/layer-redis', '@busgate/layer-nats']),
    );
    expect(packages.filter((name) => ['typescript', 'vitest', 'oxlint', 'knip', 'testcontainers', 'playwright-core', 'node'].includes(name))).toEqual([]);
    const own = found.filter((path) => path.startsWith('/app/packages/'));
    expect(own.filter((path) => /\/(?:src|test)(?:\/|$)|\.ts$|\.map$|conformance|\.env$|secret|\/packages\/asgi(?:\/|$)/.test(path))).toEqual([]);
    expect((await imageOf(IMAGE)).Size - (await imageOf(BASE)).Size).toBeLessThan(MOST_BYTES);
  });
});

describe('a container of it', () => {
  test('prints the configuration in force, the password of its secret masked', async () => {
    const settings = join(ROOT, 'deploy/busgate.yaml');
    const mounted = ['--env', 'BUSGATE_CONFIG=/etc/busgate/busgate.yaml', '--volume', `${settings}:/etc/busgate/busgate.yaml:ro`];
    const output = await docker('run', '--rm', ...HARDENED, ...mounted, '--env', 'BUSGATE_LAYER=redis://user:hunter2@redis:6379', IMAGE, 'config');
    expect(parse(output)).toMatchObject({ port: 8080, drain: { notice: '5s', deadline: '30s' }, limits: { sessions: 10_000 } });
    expect(output).toContain('redis:6379');
    expect(output).not.toContain('hunter2');
  });

  test('tells what is wrong with its settings, and does not start', async () => {
    const { code, stderr } = await outcomeOf('docker', ['run', '--rm', ...HARDENED, '--env', 'BUSGATE_DRAIN_NOTCIE=5s', IMAGE]);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain('BUSGATE_DRAIN_NOTICE');
  });

  test('serves without a file to write, without capabilities; publishes from another one; drains on SIGTERM and exits with 0', async () => {
    const flags = ['--demo', '--host', '*', '--drain-notice', '500ms', '--drain-deadline', '5s'];
    const settings = ['--health-interval', '500ms', '--publish', '127.0.0.1::8080'];
    await using gateway = await RunningContainer.start(...HARDENED, ...settings, IMAGE, 'serve', ...flags);
    await until(
      'it is healthy',
      () => health(gateway.id),
      (status) => status === 'healthy',
    );
    await using client = await Client.open(`ws://${await gateway.published(8080)}/room/image`);
    await docker('run', '--rm', ...HARDENED, '--network', `container:${gateway.id}`, IMAGE, 'publish', 'image', 'hello');
    await client.until((received) => received.length === 1);
    expect(client.received).toEqual(['hello']);

    await docker('stop', '--time', '20', gateway.id);
    expect((await inspect(gateway.id)).State).toMatchObject({ Status: 'exited', ExitCode: 0, OOMKilled: false });
    expect((await client.closed).code).toBe(1012);
  });

  test('ends at once when it only listens', async () => {
    await using gateway = await RunningContainer.start(...HARDENED, '--health-interval', '500ms', IMAGE, 'serve', '--demo');
    await until(
      'it is healthy',
      () => health(gateway.id),
      (status) => status === 'healthy',
    );
    await using listener = await RunningContainer.start(...HARDENED, '--network', `container:${gateway.id}`, IMAGE, 'subscribe', 'image');
    await until(
      'it hears the room',
      async () => {
        await docker('run', '--rm', ...HARDENED, '--network', `container:${gateway.id}`, IMAGE, 'publish', 'image', 'hello');
        return docker('logs', listener.id);
      },
      (logs) => logs.includes('hello'),
    );
    await docker('stop', '--time', '10', listener.id);
    expect((await inspect(listener.id)).State.ExitCode).toBe(0);
  });
});
