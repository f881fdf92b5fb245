import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { post } from './support/crowd.ts';
import { expressionsOf, readDashboard } from './support/dashboard.ts';
import { inspect, requireDocker } from './support/docker.ts';
import { Fleet } from './support/fleet.ts';
import { until } from '../support/until.ts';

/** What a fleet of few clients and no event routes has no samples of: nothing was refused, no layer is away. */
const MAY_BE_EMPTY = /busgate_event|busgate_refused_total|busgate_closes_total|busgate_layer_faults_total/;

/** What the collector's exporter `debug` writes of a span: whose trace it is of, and its name. */
const SPAN = /Trace ID\s*: (\w+)\n[^]*?Name\s*: (\S+)/g;

interface Result {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly unknown[] };
}

interface Rules {
  readonly data: { readonly groups: readonly { readonly rules: readonly { readonly health: string; readonly lastError?: string; readonly name: string }[] }[] };
}

let fleet: Fleet;

beforeAll(async () => {
  await requireDocker();
  fleet = await Fleet.prepare();
});

afterAll(() => fleet?.[Symbol.asyncDispose]());

test('the profile nats is the same fleet on NATS', async () => {
  await fleet.up('nats-haproxy');
  expect(await fleet.project.containers('redis')).toEqual([]);
  const gateways = await fleet.gateways('nats-gateway');
  expect(gateways).toHaveLength(3);
  const origin = await fleet.origin('nats-haproxy');
  const clients = await Promise.all(Array.from({ length: 12 }, () => Client.open(`ws://${origin}/room/nats`)));
  for (const gateway of gateways) await gateway.reaches('busgate_sessions', (count) => count > 0);
  expect(await post(`http://${origin}/room/nats`, 'over NATS')).toBe(202);
  await Promise.all(clients.map((client) => client.until((received) => received.length === 1)));
  for (const client of clients) {
    expect(client.received).toEqual(['over NATS']);
    await client[Symbol.asyncDispose]();
  }
  await fleet.project.run('stop', 'nats-gateway', 'nats-haproxy');
  for (const { container } of gateways) expect((await inspect(container)).State.ExitCode).toBe(0);
});

test('the profile tracing brings a trace from a publish to the sockets of every gateway, and to the collector', async () => {
  await fleet.installSdk();
  await fleet.up('tracing-haproxy');
  const origin = await fleet.origin('tracing-haproxy');
  const gateways = await fleet.gateways('tracing-gateway');
  const clients = await Promise.all(Array.from({ length: 12 }, () => Client.open(`ws://${origin}/room/traced`)));
  for (const gateway of gateways) await gateway.reaches('busgate_sessions', (count) => count > 0);
  const trace = 'c0ffee'.repeat(5) + '01';
  const headers = { traceparent: `00-${trace}-${'b'.repeat(16)}-01` };
  expect((await fetch(`http://${origin}/room/traced`, { method: 'POST', body: 'x', headers })).status).toBe(202);
  for (const client of clients) {
    await client.until((received) => received.length === 1);
    await client[Symbol.asyncDispose]();
  }
  const names = await until(
    'the collector has a span of each gateway',
    async () =>
      [...(await fleet.project.run('logs', '--no-color', '--no-log-prefix', 'collector')).matchAll(SPAN)].flatMap(([, of, name]) =>
        of === trace ? [String(name)] : [],
      ),
    (spans) => spans.length > gateways.length,
  );
  expect(names.toSorted((a, b) => a.localeCompare(b))).toEqual([...gateways.map(() => 'busgate.deliver'), 'busgate.publish']);
  await fleet.project.run('stop', 'tracing-gateway', 'tracing-haproxy', 'collector');
});

describe('beside the fleet on Redis', () => {
  let origin: string;
  beforeAll(async () => {
    await fleet.up('haproxy');
    origin = await fleet.origin();
  });

  test('the profile demo publishes with nothing but its Redis client', async () => {
    await fleet.up('publisher');
    await using client = await Client.open(`ws://${origin}/room/demo`);
    await client.until((received) => received.length >= 2);
    expect(String(client.received[0])).toMatch(/^message \d+ at \d\d:\d\d:\d\d$/);
    await fleet.project.run('stop', 'publisher');
    const [publisher = ''] = await fleet.project.containers('publisher');
    expect((await inspect(publisher)).State.ExitCode).toBe(0);
  });

  test('the profile monitoring has every gateway and the proxy, all rules, and answers every panel', async () => {
    await using client = await Client.open(`ws://${origin}/room/monitoring`);
    expect(await post(`http://${origin}/room/monitoring`, 'hello')).toBe(202);
    await client.until((received) => received.length === 1);

    // Grafana's image is not needed to look at its dashboard's numbers.
    await fleet.up('prometheus');
    const [container = ''] = await fleet.project.containers('prometheus');
    const api = `http://${await fleet.project.published(container, 9090)}/api/v1`;
    const ask = async <T>(path: string): Promise<T> => (await (await fetch(`${api}/${path}`)).json()) as T;
    const targets = await until(
      'every target has been scraped twice and is up',
      async () => (await ask<Result>(`query?query=${encodeURIComponent('(sum_over_time(up[1m]) >= 2) and up == 1')}`)).data.result,
      (result) => result.length === 4,
    );
    expect(targets).toHaveLength(4);

    const rules = await until(
      'every rule has been evaluated',
      async () => (await ask<Rules>('rules')).data.groups.flatMap((group) => group.rules),
      (loaded) => loaded.every(({ health }) => health !== 'unknown'),
    );
    expect(rules.length).toBeGreaterThanOrEqual(7);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);

    for (const expression of expressionsOf(await readDashboard())) {
      const { status, error } = await until(
        `an answer to ${expression}`,
        () => ask<Result>(`query?query=${encodeURIComponent(expression)}`),
        (answer) => answer.status !== 'success' || MAY_BE_EMPTY.test(expression) || answer.data.result.length > 0,
      );
      expect({ expression, status, error }).toEqual({ expression, status: 'success', error: undefined });
    }
  });
});
