import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { LAYER_FAULTS, type LayerStatus, newStats } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Counters, createCounters, type GatewayState } from '../src/counters.ts';
import { Absence, readiness, type Readiness } from '../src/health.ts';
import { listen } from '../src/listen.ts';
import { METRICS, Metrics } from '../src/metrics.ts';
import type { OpsApi } from '../src/ops/call.ts';
import { opsRefusal } from '../src/ops/errors.ts';
import { OpsServer } from '../src/ops.ts';

function stateOf(parts: { settled: number; draining: boolean }): GatewayState {
  return {
    settle: () => void (parts.settled += 1),
    sessions: { sse: 0, stream: 0, websocket: 2, poll: 1 },
    queued: 3,
    outboxBytes: 4,
    inboundBytes: 5,
    memoryUsed: 6,
    rooms: 5,
    replays: { bytes: 7, waiting: 8 },
    get draining() {
      return parts.draining;
    },
  };
}

class Parts {
  readonly counters: Counters = createCounters();
  readonly layer = { status: { state: 'connected', since: new Date(0) } as LayerStatus, stats: newStats() };
  settled = 0;
  draining = false;
  now = 1000;
  readonly state = stateOf(this);
  readonly metrics = new Metrics({
    counters: this.counters,
    state: this.state,
    layer: this.layer,
    log: { dropped: 6 },
    version: '1.2.3',
    tickMs: 500,
    now: () => this.now,
    sessionsLimit: 7,
    events: [],
    workers: { size: 0, lost: 0 },
  });
  readonly readiness = (): Readiness =>
    readiness({ layer: this.layer, state: this.state, away: new Absence(this.layer, () => 0), knowsBans: () => true, layerGrace: undefined });
  readonly api: OpsApi = { answer: async () => opsRefusal('internal') };
  readonly ops = new OpsServer(this, undefined);
}

let parts: Parts;
let base: string;
beforeEach(async () => {
  parts = new Parts();
  base = `http://127.0.0.1:${(await parts.ops.listen('127.0.0.1', 0)).port}`;
});
afterEach(() => parts.ops.close());

describe('/metrics', () => {
  test('counts each heartbeat that came back through the broker once, by what it took', async () => {
    const { stats } = parts.layer;
    const look = (roundTrip: number, roundTrips: number): void => {
      Object.assign(stats, { roundTrip, roundTrips });
      parts.metrics.look();
    };
    parts.metrics.look();
    look(3, 1);
    look(3, 1);
    look(3, 2);
    look(700, 3);
    const page = await parts.metrics.scrape();
    const bucket = (le: string): string | undefined => page.split('\n').find((line) => line.startsWith(`busgate_layer_roundtrip_seconds_bucket{le="${le}"}`));
    expect([bucket('0.0025'), bucket('0.005'), bucket('0.5'), bucket('1')].map((line) => line?.split(' ')[1])).toEqual(['0', '2', '2', '3']);
    expect(page).toContain('busgate_layer_roundtrip_seconds_count 3');
  });

  test('counts how late it was looked at, what calls of the layer took, and the steps of a drain, each series from the start', async () => {
    const { metrics, counters } = parts;
    const countsOf = (page: string): Record<string, number> =>
      Object.fromEntries(
        [...page.matchAll(/^busgate_((?:event_loop_delay|layer_call|drain)_seconds_(?:count|sum)\S*) (\S+)$/gm)].map(([, name, value]) => [
          name,
          Number(value),
        ]),
      );
    const begun = countsOf(await metrics.scrape());
    expect(Object.keys(begun).length).toBe(2 * (1 + 4 + 3));
    expect(new Set(Object.values(begun))).toEqual(new Set([0]));
    await setImmediate();
    // The first look has none before it; the second is in time, the third 250 ms late.
    for (const now of [1000, 1500, 2250]) {
      parts.now = now;
      metrics.look();
    }
    counters.layerCalls.took('publish', counters.layerCalls.now() - 2000);
    await counters.layerCalls.watch('send', Promise.reject(new Error('full'))).catch(() => undefined);
    metrics.drained('closing', 1500);
    const page = await metrics.scrape();
    const { 'layer_call_seconds_sum{call="publish"}': published, ...counts } = countsOf(page);
    expect(published).toBeCloseTo(2, 1);
    expect(counts).toMatchObject({
      event_loop_delay_seconds_count: 2,
      event_loop_delay_seconds_sum: 0.25,
      'layer_call_seconds_count{call="publish"}': 1,
      'layer_call_seconds_count{call="send"}': 1,
      'layer_call_seconds_count{call="history"}': 0,
      'drain_seconds_count{step="closing"}': 1,
      'drain_seconds_sum{step="closing"}': 1.5,
      'drain_seconds_count{step="leaving"}': 0,
    });
  });

  test('says what the counters say, in one turn and with every label from the start', async () => {
    parts.counters.due = 10;
    parts.counters.sent = 6;
    parts.counters.dropped.slow = 1;
    const page = await (await fetch(`${base}/metrics`)).text();
    expect(page).toContain('busgate_deliveries_due_total 10\n');
    expect(page).toContain('busgate_deliveries_sent_total 6\n');
    expect(page).toContain('busgate_deliveries_dropped_total{reason="slow"} 1\n');
    expect(page).toContain('busgate_deliveries_dropped_total{reason="backlog"} 0\n');
    expect(page).toContain('busgate_deliveries_queued 3\n');
    expect(page).toContain('busgate_closes_total{code="1013"} 0\n');
    // The end of a session that nothing is wrong with, which no error has as its code.
    expect(page).toContain('busgate_closes_total{code="1000"} 0\n');
    expect(page).toContain('busgate_closes_total{code="other"} 0\n');
    expect(page).toContain('busgate_info{version="1.2.3"} 1\n');
    for (const kind of LAYER_FAULTS) expect(page).toContain(`busgate_layer_faults_total{kind="${kind}"} 0\n`);
    for (const kind of ['major', 'minor', 'incremental', 'weakcb']) expect(page).toContain(`nodejs_gc_duration_seconds_count{kind="${kind}"} `);
    expect(parts.settled).toBe(1);
  });

  test('counters are read anew in each turn', async () => {
    parts.counters.due = 10;
    await parts.metrics.scrape();
    await setImmediate();
    parts.counters.due = 11;
    parts.layer.stats.faults.out_of_space = 2;
    const page = await parts.metrics.scrape();
    expect(page).toContain('busgate_deliveries_due_total 11\n');
    expect(page).toContain('busgate_layer_faults_total{kind="out_of_space"} 2\n');
  });

  test('scrapes at the same time share one computation', async () => {
    const pages = await Promise.all(Array.from({ length: 50 }, () => parts.metrics.scrape()));
    expect(parts.settled).toBe(1);
    expect(new Set(pages).size).toBe(1);
  });

  test('names follow the rules: counters and only counters end in _total', async () => {
    const page = await parts.metrics.scrape();
    for (const [, name = '', type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm)) expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
    expect(METRICS.every(({ name }) => name.startsWith('busgate_'))).toBe(true);
  });
});

describe('/healthz and /readyz', () => {
  test('alive at once; ready once the layer has been reached; not while draining', async () => {
    const statuses = async () => Promise.all(['/healthz', '/readyz'].map(async (path) => (await fetch(base + path)).status));
    expect(await statuses()).toEqual([200, 503]);
    parts.layer.stats.connects = 1;
    expect(await statuses()).toEqual([200, 200]);
    parts.draining = true;
    expect(await statuses()).toEqual([200, 503]);
    expect(await (await fetch(`${base}/readyz`)).json()).toEqual({ status: 'not ready', reason: 'draining' });
  });

  test('a layer that goes away later leaves it ready, unless a grace is set', () => {
    let now = 0;
    const layer = { status: { state: 'away', since: new Date(1000) } as LayerStatus, stats: { connects: 1 } };
    const sources = { layer, state: { draining: false }, away: new Absence(layer, () => now), knowsBans: () => true };
    expect(readiness({ ...sources, layerGrace: 500 }).ready).toBe(true);
    now = 499;
    expect(readiness({ ...sources, layerGrace: 500 }).ready).toBe(true);
    now = 500;
    expect(readiness({ ...sources, layerGrace: 500 })).toEqual({ ready: false, reason: 'layer_away' });
    expect(readiness({ ...sources, layerGrace: undefined }).ready).toBe(true);
    // Back, and away again, between two looks.
    layer.status = { state: 'away', since: new Date(1000) };
    expect(readiness({ ...sources, layerGrace: 500 }).ready).toBe(true);
  });
});

test.each([
  ['GET', '/', 404],
  ['GET', '/metrics/', 404],
  ['GET', '//metrics', 404],
  ['POST', '/metrics', 405],
  ['HEAD', '/healthz', 200],
  ['GET', '/healthz?verbose', 200],
])('%s %s is %i', async (method, path, status) => {
  const response = await fetch(base + path, { method });
  expect(response.status).toBe(status);
  expect(response.headers.get('allow')).toBe(status === 405 ? 'GET, HEAD' : null);
});

test.each([
  ['nothing of HTTP', '\0\u00FF\r\n\r\n', 400, 'bad_request'],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, 'bad_request'],
  ['two lengths', 'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400, 'bad_request'],
  ['headers that are too large', `GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
])('%s is refused in the shape of all errors', async (_, sent, status, error) => {
  const socket = connect(Number(new URL(base).port), '127.0.0.1');
  socket.write(sent);
  const text = Buffer.concat(await socket.toArray()).toString();
  expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toEqual({ error, message: expect.any(String) as string });
});

test('so is what follows an answer on the same connection', async () => {
  const socket = connect(Number(new URL(base).port), '127.0.0.1');
  socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(String((await once(socket, 'data'))[0])).toContain('alive');
  socket.write('\0\r\n\r\n');
  expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1.1 400 [^]*"bad_request"/);
});

describe('listen', () => {
  test('localhost is both loopback addresses, on one port', async () => {
    const server = createServer((_request, response) => response.end('here'));
    const listening = await listen(server, 'localhost', 0);
    try {
      const answers = await Promise.all(listening.addresses.map(async (address) => (await fetch(`http://${address}/`)).text()));
      expect(answers.length).toBeGreaterThanOrEqual(1);
      expect(new Set(answers)).toEqual(new Set(['here']));
      expect(listening.addresses[0]).toBe(`127.0.0.1:${listening.port}`);
    } finally {
      listening.close();
      server.closeAllConnections();
    }
  });

  test('a taken port is refused, and nothing stays behind', async () => {
    const first = await listen(createServer(), 'localhost', 0);
    const second = createServer();
    await expect(listen(second, 'localhost', first.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(second.listening).toBe(false);
    first.close();
    const third = await listen(second, 'localhost', first.port);
    third.close();
    await new Promise<void>((resolve) => {
      connect(first.port, '127.0.0.1').on('error', () => resolve());
    });
    expect(second.listening).toBe(false);
  });
});
