import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../packages/gateway/src/config.ts';
import { Client } from '../e2e/clients.ts';
import { requireBinary } from '../support/binaries.ts';
import { type Broker, startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { outcomeOf, outputOf, ROOT } from './support/commands.ts';
import { post } from './support/crowd.ts';
import { PythonEnvironment } from './support/python.ts';
import { until } from './support/until.ts';

/** Long enough for every check of a proxy to be late: that the notice of the defaults is longer than they take is looked up in the files. */
const DRAINING = ['--drain-notice', '8s', '--drain-deadline', '16s'];
const proxies = join(ROOT, 'deploy/proxies');
const DEFAULTS = loadConfig({ argv: ['--demo'], env: {}, descriptors: 20_000, readFile: () => '' });
/** From the last that a session hears to its end as dead, in milliseconds. */
const HEARTBEAT = DEFAULTS.heartbeat.interval + DEFAULTS.heartbeat.timeout;
/** Ports in the files: the proxy's own, and those of three gateways. */
const FILE_PORTS = { proxy: 8080, gateways: [8081, 8082, 8083], ops: [9091, 9092, 9093] };

let scratch: string;
let redis: Broker;
let gateways: GatewayProcess[];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'busgate-proxies-'));
  redis = await startRedis();
  const args = ['--demo', '--layer', redis.url];
  gateways = await Promise.all([1, 2, 3].map(() => startGateway({ args })));
});

afterAll(async () => {
  for (const gateway of gateways ?? []) await gateway[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

/** A file of `deploy/proxies` with the ports of this test's gateways instead of its own. */
async function adapted(file: string, port: number): Promise<string> {
  const text = await readFile(join(proxies, file), 'utf8');
  const ports = new Map<number, number>([
    [FILE_PORTS.proxy, port],
    ...gateways.flatMap((gateway, index): [number, number][] => [
      [FILE_PORTS.gateways[index] as number, gateway.port],
      [FILE_PORTS.ops[index] as number, gateway.opsPort],
    ]),
  ]);
  const path = join(scratch, `${port}-${file}`);
  await writeFile(
    path,
    text.replaceAll(/\b(?:808[0-3]|909[1-3])\b/g, (written) => String(ports.get(Number(written)) ?? written)),
  );
  return path;
}

/** Sockets open at each gateway, when there are so many in all. */
function sessions(wanted: number): Promise<number[]> {
  return until(
    `${wanted} sockets in all`,
    () => Promise.all(gateways.map((gateway) => gateway.metric('busgate_sessions{transport="websocket"}'))),
    (counts) => counts.reduce((sum, count) => sum + count, 0) === wanted,
  );
}

/** Thirty sockets, spread over all gateways. A check that was late takes a gateway out for a moment, on a busy machine; then they are opened anew. */
async function openSpread(url: string): Promise<Client[]> {
  for (let attempt = 1; ; attempt += 1) {
    await sessions(0);
    const clients = await Promise.all(Array.from({ length: 30 }, () => Client.open(url)));
    const few = (await sessions(30)).filter((count) => count < 6);
    if (few.length === 0 || attempt === 5) {
      expect(few).toEqual([]);
      return clients;
    }
    await closeAll(clients);
  }
}

async function closeAll(clients: readonly Client[]): Promise<void> {
  for (const client of clients) await client[Symbol.asyncDispose]();
}

/** How each proxy is asked whether it takes a file, and how it is started with it. */
const PROXIES = {
  nginx: {
    file: 'nginx.conf',
    binary: () => requireBinary('nginx', '', 'nginx-light'),
    check: (file: string) => ['-t', '-q', '-e', 'stderr', '-c', file, '-g', `pid ${join(scratch, 'check.pid')};`],
    start: (file: string) => ['-e', 'stderr', '-c', file, '-g', `daemon off; pid ${file}.pid;`],
  },
  haproxy: {
    file: 'haproxy.cfg',
    binary: () => requireBinary('haproxy'),
    check: (file: string) => ['-c', '-q', '-f', file],
    start: (file: string) => ['-db', '-f', file],
  },
} as const;

describe.each(['nginx', 'haproxy'] as const)('%s', (name) => {
  const proxy = PROXIES[name];
  let child: Child;
  let port: number;

  beforeAll(async () => {
    port = await freePort();
    child = new Child(await proxy.binary(), proxy.start(await adapted(proxy.file, port)));
    await until(
      `${name} has a gateway`,
      () => post(`http://127.0.0.1:${port}/room/first`, 'x'),
      (status) => status === 202,
    );
  });
  afterAll(async () => {
    // In order: processes of the proxy's own would outlive its kill.
    child?.signal('SIGTERM');
    await child?.exited;
  });

  test('takes the file as it is, without a warning', async () => {
    const { code, stdout, stderr } = await outcomeOf(await proxy.binary(), proxy.check(join(proxies, proxy.file)));
    expect({ code, said: stdout + stderr }).toEqual({ code: 0, said: '' });
  });

  test('spreads sockets over all gateways, and any of them takes a publish for all', async () => {
    const clients = await openSpread(`ws://127.0.0.1:${port}/room/${name}`);
    for (let number = 0; number < 10; number += 1) expect(await post(`http://127.0.0.1:${port}/room/${name}`, `message ${number}`)).toBe(202);
    await Promise.all(clients.map((client) => client.until((received) => received.length === 10)));
    for (const client of clients) expect(client.received).toEqual(Array.from({ length: 10 }, (_, number) => `message ${number}`));
    await closeAll(clients);
  });

  test('passes the host that was asked, so that its own pages may connect and others may not', async () => {
    const ask = async (origin: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}/room/${name}`, { method: 'POST', body: 'x', headers: { origin } })).status;
    expect(await ask(`http://127.0.0.1:${port}`)).toBe(202);
    expect(await ask('http://elsewhere.example')).toBe(403);
  });
});

describe('haproxy, when a gateway', () => {
  /** HAProxy before two of the gateways and this one, which is its first; `edit` changes its file. */
  async function proxyBefore(gateway: GatewayProcess, edit = (text: string) => text): Promise<{ child: Child; origin: string }> {
    const kept = gateways[0] as GatewayProcess;
    gateways[0] = gateway;
    const port = await freePort();
    const file = await adapted('haproxy.cfg', port);
    gateways[0] = kept;
    await writeFile(file, edit(await readFile(file, 'utf8')));
    const child = new Child(await requireBinary('haproxy'), ['-db', '-f', file]);
    const origin = `127.0.0.1:${port}`;
    await until(
      'haproxy has a gateway',
      () => post(`http://${origin}/room/first`, 'x'),
      (status) => status === 202,
    );
    return { child, origin };
  }

  test('drains, leaves it before it refuses, and lets it close its sessions itself', async () => {
    const args = ['--demo', '--layer', redis.url, ...DRAINING];
    await using gateway = await startGateway({ args });
    const { child, origin } = await proxyBefore(gateway);
    await using _proxy = child;
    const clients = await Promise.all(Array.from({ length: 12 }, () => Client.open(`ws://${origin}/room/drain`)));
    const codes: number[] = [];
    for (const client of clients) void client.closed.then(({ code }) => codes.push(code));
    const held = await gateway.metric('busgate_sessions{transport="websocket"}');
    expect(held).toBeGreaterThan(0);

    gateway.signal('SIGTERM');
    const ended = Symbol('ended');
    const over = gateway.exited.then(() => ended);
    const refused: number[] = [];
    while ((await Promise.race([over, post(`http://${origin}/room/drain`, 'during')])) !== ended) {
      const status = await Client.refused(`ws://${origin}/room/not%20a%20room`);
      if (status !== 400) refused.push(status ?? 0);
    }
    expect(refused).toEqual([]);
    expect((await gateway.exited).code).toBe(0);
    await until(
      'its clients know',
      () => codes.length,
      (count) => count === held,
    );
    expect(codes).toEqual(Array.from({ length: held }, () => 1012));
    await closeAll(clients);
  });

  test('has lost its broker, lets everybody in all the same, and gives it no more than its share of the publishes', async () => {
    await using broker = await startRedis();
    await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url] });
    const { child, origin } = await proxyBefore(gateway);
    await using _proxy = child;
    await broker.kill();
    await until(
      'the gateway has no broker',
      () => gateway.metric('busgate_layer_up'),
      (up) => up === 0,
    );
    const clients: Client[] = [];
    for (let count = 0; count < 40; count += 1) clients.push(await Client.open(`ws://${origin}/room/alone`));
    expect(await gateway.metric('busgate_refused_total{reason="away"}')).toBeGreaterThan(0);
    const statuses: number[] = [];
    for (let count = 0; count < 30; count += 1) statuses.push(await post(`http://${origin}/room/alone`, 'x'));
    // One in three; one in two while a check of another gateway is late.
    expect(statuses.filter((status) => status !== 202).length).toBeLessThanOrEqual(15);
    expect(new Set(statuses)).toEqual(new Set([202, 503]));
    await closeAll(clients);
  });

  test('is killed, leaves it with the first connection that it does not take', async () => {
    await using gateway = await startGateway({ args: ['--demo', '--layer', redis.url] });
    // No check would find out in time.
    const { child, origin } = await proxyBefore(gateway, (text) => text.replaceAll('inter 1s', 'inter 300s'));
    await using _proxy = child;
    await gateway.kill();
    const clients: Client[] = [];
    for (let count = 0; count < 4; count += 1) clients.push(await Client.open(`ws://${origin}/room/killed`));
    expect(await child.lines.find((line) => line.includes('Server gateways/gateway1 is DOWN'))).toContain('Health analyze');
    await closeAll(clients);
  });
});

describe('envoy', () => {
  const CHECK = [
    'import sys, yaml',
    'from google.protobuf import json_format',
    'from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap',
    'import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2',
    'import envoy.extensions.filters.http.router.v3.router_pb2',
    'import envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2',
    'import envoy.extensions.upstreams.http.v3.http_protocol_options_pb2',
    'json_format.ParseDict(yaml.safe_load(open(sys.argv[1])), Bootstrap())',
  ].join('\n');
  let python: PythonEnvironment;
  beforeAll(async () => {
    python = await PythonEnvironment.with('xds-protos==1.85.0', 'pyyaml==6.0.3');
  });
  afterAll(() => python?.[Symbol.asyncDispose]());

  test('has every field of the file, with its type', async () => {
    await expect(outputOf(python.command('python3'), ['-c', CHECK, join(proxies, 'envoy.yaml')])).resolves.toBe('');
  });

  test.each([
    ['an unknown field', 'upgrade_type: websocket', 'upgrade_typ: websocket'],
    ['a wrong type', 'stream_idle_timeout: 60s', 'stream_idle_timeout: a minute'],
    ['an unknown field of an extension', 'common_http_protocol_options:', 'common_http_options:'],
  ])('would not take %s', async (_, text, fault) => {
    const good = await readFile(join(proxies, 'envoy.yaml'), 'utf8');
    expect(good).toContain(text);
    const file = join(scratch, 'envoy.yaml');
    await writeFile(file, good.replace(text, fault));
    expect((await outcomeOf(python.command('python3'), ['-c', CHECK, file])).code).toBe(1);
  });
});

describe('idle timeouts are longer than a heartbeat, and health checks quicker than the notice of a drain', () => {
  test.each(['deploy/proxies/haproxy.cfg', 'deploy/haproxy/haproxy.cfg'])('%s', async (path) => {
    const text = (await readFile(join(ROOT, path), 'utf8')).replaceAll(/^\s*#.*$/gm, '');
    for (const timeout of ['client', 'server', 'tunnel']) {
      const [, seconds] = new RegExp(`^ *timeout ${timeout} (\\d+)s$`, 'm').exec(text) ?? [];
      expect(Number(seconds) * 1000, `timeout ${timeout}`).toBeGreaterThan(HEARTBEAT);
    }
    const [, inter, fall] = /\binter (\d+)s fall (\d+)\b/.exec(text) ?? [];
    expect(Number(inter) * Number(fall) * 1000).toBeLessThan(DEFAULTS.drain.notice);
    expect(text).not.toMatch(/on-marked-down|cookie|stick|balance source/);
  });

  test('nginx.conf', async () => {
    const text = await readFile(join(proxies, 'nginx.conf'), 'utf8');
    for (const timeout of ['proxy_read_timeout', 'proxy_send_timeout']) {
      expect(Number(new RegExp(`${timeout} (\\d+)s;`).exec(text)?.[1]) * 1000, timeout).toBeGreaterThan(HEARTBEAT);
    }
    expect(text).not.toMatch(/^\s*(?:ip_hash|hash|sticky)\b|non_idempotent/m);
  });

  test('envoy.yaml', async () => {
    const text = await readFile(join(proxies, 'envoy.yaml'), 'utf8');
    expect(Number(/stream_idle_timeout: (\d+)s/.exec(text)?.[1]) * 1000).toBeGreaterThan(HEARTBEAT);
    const { static_resources: resources } = parse(text) as {
      static_resources: { clusters: { lb_policy: string; health_checks: { interval: string; unhealthy_threshold: number }[] }[] };
    };
    const [cluster] = resources.clusters;
    expect(cluster?.lb_policy).toBe('LEAST_REQUEST');
    const [check] = cluster?.health_checks ?? [];
    expect(Number.parseInt(check?.interval ?? '', 10) * Number(check?.unhealthy_threshold) * 1000).toBeLessThan(DEFAULTS.drain.notice);
  });
});
