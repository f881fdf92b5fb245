import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../packages/gateway/src/config.ts';
import { Client } from '../e2e/clients.ts';
import { type Broker, startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { outcomeOf, ROOT } from './support/commands.ts';
import { post } from './support/crowd.ts';
import { packagedProxies, PROXIES, type ProxyName, RunningProxy, shippedFile } from './support/proxies.ts';
import type { PythonEnvironment } from './support/python.ts';
import { until } from '../support/until.ts';

/** Long enough for every check of a proxy to be late: that the notice of the defaults is longer than they take is looked up in the files. */
const DRAINING = ['--drain-notice', '8s', '--drain-deadline', '16s'];
const DEFAULTS = loadConfig({ argv: ['--demo'], env: {}, descriptors: 20_000, readFile: () => '' });
/** From the last that a session hears to its end as dead, in milliseconds. */
const HEARTBEAT = DEFAULTS.heartbeat.interval + DEFAULTS.heartbeat.timeout;

let scratch: string;
let packaged: PythonEnvironment;
let redis: Broker;
let gateways: GatewayProcess[];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'busgate-proxies-'));
  packaged = await packagedProxies();
  redis = await startRedis();
  const args = ['--demo', '--layer', redis.url];
  gateways = await Promise.all([1, 2, 3].map(() => startGateway({ args })));
});

afterAll(async () => {
  for (const gateway of gateways ?? []) await gateway[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
  await packaged?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

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

test.each(['nginx', 'haproxy', 'envoy', 'caddy'] as const)('%s takes its file as it is, without a warning', async (name) => {
  const { code, said } = await checked(name, shippedFile(name));
  expect(code, said).toBe(0);
  expect(said).not.toMatch(/warn/i);
});

/** What a proxy says of a file. */
async function checked(name: Exclude<ProxyName, 'traefik'>, file: string): Promise<{ code: number | null; said: string }> {
  const { binary, check } = PROXIES[name];
  const { code, stdout, stderr } = await outcomeOf(await binary(packaged), check(file), { env: { HOME: scratch } });
  return { code, said: stdout + stderr };
}

describe.each(['nginx', 'haproxy', 'envoy', 'caddy', 'traefik'] as const)('%s', (name) => {
  let proxy: RunningProxy;

  beforeAll(async () => {
    proxy = await (await RunningProxy.start(name, gateways, undefined, packaged)).ready();
  });
  afterAll(() => proxy?.[Symbol.asyncDispose]());

  test('spreads sockets over all gateways, and any of them takes a publish for all', async () => {
    const clients = await openSpread(`ws://${proxy.origin}/room/${name}`);
    for (let number = 0; number < 10; number += 1) expect(await post(`http://${proxy.origin}/room/${name}`, `message ${number}`)).toBe(202);
    await Promise.all(clients.map((client) => client.until((received) => received.length === 10)));
    for (const client of clients) expect(client.received).toEqual(Array.from({ length: 10 }, (_, number) => `message ${number}`));
    await closeAll(clients);
  });

  test('passes the host that was asked, so that its own pages may connect and others may not', async () => {
    const ask = async (origin: string): Promise<number> =>
      (await fetch(`http://${proxy.origin}/room/${name}`, { method: 'POST', body: 'x', headers: { origin } })).status;
    expect(await ask(`http://${proxy.origin}`)).toBe(202);
    expect(await ask('http://elsewhere.example')).toBe(403);
  });

  test('lets everybody in, and publishes, while one of the gateways is gone', async () => {
    await using gone = await startGateway({ args: ['--demo', '--layer', redis.url] });
    await using before = await (await RunningProxy.start(name, [...gateways.slice(1), gone], undefined, packaged)).ready();
    await gone.kill();
    const clients: Client[] = [];
    for (let count = 0; count < 8; count += 1) {
      clients.push(await Client.open(`ws://${before.origin}/room/${name}.gone`));
      expect(await post(`http://${before.origin}/room/${name}.gone`, `${count}`)).toBe(202);
    }
    await clients[0]?.until((received) => received.length === 8);
    expect(clients[0]?.received).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    await closeAll(clients);
  });
});

test('nginx that is not told to speak HTTP/1.1 is refused, whatever it asks', async () => {
  await using proxy = await RunningProxy.start('nginx', gateways, (text) => text.replace('proxy_http_version 1.1;', 'proxy_http_version 1.0;'));
  const answer = await until(
    'nginx answers',
    () => fetch(`http://${proxy.origin}/demo.css`),
    () => true,
  );
  expect([answer.status, await answer.json()]).toEqual([400, { error: 'bad_request', message: expect.any(String) }]);
});

/** A proxy before two of the gateways and this one, which is its first; `edit` changes its file. */
async function proxyBefore(gateway: GatewayProcess, name: ProxyName = 'haproxy', edit?: (text: string) => string): Promise<RunningProxy> {
  return (await RunningProxy.start(name, [gateway, ...gateways.slice(1)], edit, packaged)).ready();
}

test.concurrent.for(['haproxy', 'envoy'] as const)('%s leaves a gateway that drains before it refuses, and lets it close its sessions itself', async (name) => {
  const args = ['--demo', '--layer', redis.url, ...DRAINING];
  await using gateway = await startGateway({ args });
  await using proxy = await proxyBefore(gateway, name);
  const clients = await Promise.all(Array.from({ length: 12 }, () => Client.open(`ws://${proxy.origin}/room/drain`)));
  const codes: number[] = [];
  for (const client of clients) void client.closed.then(({ code }) => codes.push(code));
  const held = await gateway.metric('busgate_sessions{transport="websocket"}');
  expect(held).toBeGreaterThan(0);

  gateway.signal('SIGTERM');
  const ended = Symbol('ended');
  const over = gateway.exited.then(() => ended);
  const statuses = new Set<number | symbol | undefined>();
  for (let published: number | symbol = 0; published !== ended;) {
    published = await Promise.race([over, post(`http://${proxy.origin}/room/drain`, 'during')]);
    statuses.add(published).add(await Client.refused(`ws://${proxy.origin}/room/not%20a%20room`));
  }
  expect(statuses).toEqual(new Set([202, 400, ended]));
  expect((await gateway.exited).code).toBe(0);
  await until(
    'its clients know',
    () => codes.length,
    (count) => count === held,
  );
  expect(codes).toEqual(Array.from({ length: held }, () => 1012));
  await closeAll(clients);
});

describe('haproxy, when a gateway', () => {
  test('has lost its broker, lets everybody in all the same, and gives it no more than its share of the publishes', async () => {
    await using broker = await startRedis();
    await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url] });
    await using proxy = await proxyBefore(gateway);
    await broker.kill();
    await until(
      'the gateway has no broker',
      () => gateway.metric('busgate_layer_up'),
      (up) => up === 0,
    );
    const clients: Client[] = [];
    for (let count = 0; count < 40; count += 1) clients.push(await Client.open(`ws://${proxy.origin}/room/alone`));
    expect(await gateway.metric('busgate_refused_total{reason="away"}')).toBeGreaterThan(0);
    const statuses: number[] = [];
    for (let count = 0; count < 30; count += 1) statuses.push(await post(`http://${proxy.origin}/room/alone`, 'x'));
    // One in three; one in two while a check of another gateway is late.
    expect(statuses.filter((status) => status !== 202).length).toBeLessThanOrEqual(15);
    expect(new Set(statuses)).toEqual(new Set([202, 503]));
    await closeAll(clients);
  });

  test('is killed, leaves it with the first connection that it does not take', async () => {
    await using gateway = await startGateway({ args: ['--demo', '--layer', redis.url] });
    // No check would find out in time.
    await using proxy = await proxyBefore(gateway, 'haproxy', (text) => text.replaceAll('inter 1s', 'inter 300s'));
    await gateway.kill();
    const clients: Client[] = [];
    for (let count = 0; count < 4; count += 1) clients.push(await Client.open(`ws://${proxy.origin}/room/killed`));
    expect(await proxy.child.lines.find((line) => line.includes('Server gateways/gateway1 is DOWN'))).toContain('Health analyze');
    await closeAll(clients);
  });
});

test.each([
  ['an unknown field', 'upgrade_type: websocket', 'upgrade_typ: websocket'],
  ['a wrong type', 'stream_idle_timeout: 60s', 'stream_idle_timeout: a minute'],
  ['an unknown field of an extension', 'common_http_protocol_options:', 'common_http_options:'],
])('envoy would not take %s', async (_, text, fault) => {
  const good = await readFile(shippedFile('envoy'), 'utf8');
  expect(good).toContain(text);
  const file = join(scratch, 'envoy.yaml');
  await writeFile(file, good.replace(text, fault));
  expect((await checked('envoy', file)).code).toBe(1);
});

describe('idle timeouts are longer than a heartbeat, health checks quicker than the notice of a drain, and nothing is kept back', () => {
  test.each(['deploy/proxies/haproxy.cfg', 'deploy/haproxy/haproxy.cfg'])('%s', async (path) => {
    const text = (await readFile(join(ROOT, path), 'utf8')).replaceAll(/^\s*#.*$/gm, '');
    for (const timeout of ['client', 'server', 'tunnel']) {
      const [, seconds] = new RegExp(`^ *timeout ${timeout} (\\d+)s$`, 'm').exec(text) ?? [];
      expect(Number(seconds) * 1000, `timeout ${timeout}`).toBeGreaterThan(HEARTBEAT);
    }
    const [, inter, fall] = /\binter (\d+)s fall (\d+)\b/.exec(text) ?? [];
    expect(Number(inter) * Number(fall) * 1000).toBeLessThan(DEFAULTS.drain.notice);
    expect(text).toMatch(/^ *option http-no-delay$/m);
    expect(text).not.toMatch(/on-marked-down|cookie|stick|balance source/);
  });

  test('nginx.conf', async () => {
    const text = await readFile(shippedFile('nginx'), 'utf8');
    for (const timeout of ['proxy_read_timeout', 'proxy_send_timeout']) {
      expect(Number(new RegExp(`${timeout} (\\d+)s;`).exec(text)?.[1]) * 1000, timeout).toBeGreaterThan(HEARTBEAT);
    }
    expect(text).not.toMatch(/^\s*(?:ip_hash|hash|sticky)\b|non_idempotent/m);
  });

  test('envoy.yaml', async () => {
    const text = await readFile(shippedFile('envoy'), 'utf8');
    expect(Number(/stream_idle_timeout: (\d+)s/.exec(text)?.[1]) * 1000).toBeGreaterThan(HEARTBEAT);
    const { static_resources: resources } = parse(text) as {
      static_resources: { clusters: { lb_policy: string; health_checks: { interval: string; no_traffic_interval: string; unhealthy_threshold: number }[] }[] };
    };
    const [cluster] = resources.clusters;
    expect(cluster?.lb_policy).toBe('LEAST_REQUEST');
    const [check] = cluster?.health_checks ?? [];
    expect(Number.parseInt(check?.interval ?? '', 10) * Number(check?.unhealthy_threshold) * 1000).toBeLessThan(DEFAULTS.drain.notice);
    // Else an Envoy that has just started looks again a minute later.
    expect(check?.no_traffic_interval).toBe(check?.interval);
  });
});
