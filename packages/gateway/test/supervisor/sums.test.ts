import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import type { MetricReport } from '../../src/metrics.ts';
import { MetricSums } from '../../src/supervisor/sums.ts';

/** The numbers of one worker. */
class Numbers {
  readonly #registry = new Registry();
  readonly published = new Counter({ name: 'busgate_publish_total', help: 'p', registers: [this.#registry] });
  readonly dropped = new Counter({ name: 'busgate_deliveries_dropped_total', help: 'd', labelNames: ['reason'], registers: [this.#registry] });
  readonly queued = new Gauge({ name: 'busgate_deliveries_queued', help: 'q', registers: [this.#registry] });
  readonly undone = new Counter({ name: 'busgate_events_undone_total', help: 'u', labelNames: ['route', 'reason'], registers: [this.#registry] });
  readonly inFlight = new Gauge({ name: 'busgate_events_in_flight', help: 'f', labelNames: ['route'], registers: [this.#registry] });
  readonly up = new Gauge({ name: 'busgate_layer_up', help: 'u', registers: [this.#registry] });
  readonly draining = new Gauge({ name: 'busgate_draining', help: 'd', registers: [this.#registry] });
  readonly info = new Gauge({ name: 'busgate_info', help: 'i', labelNames: ['version'], registers: [this.#registry] });
  readonly lag = new Gauge({ name: 'nodejs_eventloop_lag_p99_seconds', help: 'l', registers: [this.#registry] });
  readonly times = new Histogram({ name: 'nodejs_gc_duration_seconds', help: 't', labelNames: ['kind'], buckets: [1], registers: [this.#registry] });

  constructor() {
    this.dropped.inc({ reason: 'closed' }, 0);
    this.info.set({ version: '1.2.3' }, 1);
  }

  /** As it comes over the channel. */
  async report(): Promise<MetricReport[]> {
    return structuredClone(await this.#registry.getMetricsAsJSON());
  }
}

const NONE: ReadonlyMap<number, boolean> = new Map();

describe('the numbers of several workers', () => {
  test('are those of one: counters and gauges added, others as they mean something', async () => {
    const sums = new MetricSums();
    const [a, b] = [new Numbers(), new Numbers()];
    a.published.inc(3);
    b.published.inc(4);
    a.queued.set(5);
    b.queued.set(6);
    a.up.set(1);
    b.up.set(0);
    a.draining.set(1);
    a.lag.set(0.5);
    b.lag.set(0.1);
    a.times.observe({ kind: 'major' }, 0.5);
    b.times.observe({ kind: 'major' }, 2);
    b.times.observe({ kind: 'minor' }, 2);
    for (const numbers of [a, b]) sums.report(numbers, await numbers.report());
    const page = await sums.page(new Set([a, b]), new Map([[1, true]]));
    for (const line of [
      'busgate_publish_total 7',
      'busgate_deliveries_queued 11',
      'busgate_layer_up 0',
      'busgate_draining 0',
      'busgate_info{version="1.2.3"} 1',
      'nodejs_eventloop_lag_p99_seconds 0.5',
      'nodejs_gc_duration_seconds_bucket{le="1",kind="major"} 1',
      'nodejs_gc_duration_seconds_count{kind="major"} 2',
      'nodejs_gc_duration_seconds_count{kind="minor"} 1',
      'busgate_worker_up{worker="1"} 1',
    ])
      expect(page.split('\n')).toContain(line);
  });

  test('of one that does not answer its counters stay, and its gauges are left out', async () => {
    const sums = new MetricSums();
    const [a, frozen] = [new Numbers(), new Numbers()];
    frozen.published.inc(4);
    frozen.queued.set(6);
    frozen.times.observe({ kind: 'major' }, 2);
    for (const numbers of [a, frozen]) sums.report(numbers, await numbers.report());
    const page = await sums.page(
      new Set([a]),
      new Map([
        [1, true],
        [2, false],
      ]),
    );
    expect(page).toContain('busgate_publish_total 4\n');
    expect(page).toContain('busgate_deliveries_queued 0\n');
    expect(page).toContain('nodejs_gc_duration_seconds_count{kind="major"} 1\n');
    expect(page).toContain('busgate_worker_up{worker="2"} 0\n');
  });

  test('no counter falls when a worker dies and another one begins at nothing, however often; what it had queued is dropped, and its events are lost', async () => {
    const sums = new MetricSums();
    for (let generation = 1; generation <= 50; generation += 1) {
      const worker = new Numbers();
      worker.published.inc(2);
      worker.queued.set(3);
      worker.undone.inc({ route: '/a', reason: 'lost' }, 1);
      worker.inFlight.set({ route: '/a' }, 4);
      worker.inFlight.set({ route: '/b' }, 0);
      sums.report(worker, await worker.report());
      sums.retire(worker);
      const page = await sums.page(new Set(), NONE);
      expect(page).toContain(`busgate_publish_total ${generation * 2}\n`);
      expect(page).toContain(`busgate_deliveries_dropped_total{reason="closed"} ${generation * 3}\n`);
      expect(page).toContain(`busgate_events_undone_total{route="/a",reason="lost"} ${generation * 5}\n`);
      expect(page).toContain('busgate_events_undone_total{route="/b",reason="lost"} 0\n');
      expect(page).not.toMatch(/busgate_deliveries_queued|busgate_events_in_flight/);
    }
  });

  test('one that ended before it said anything changes nothing', async () => {
    const sums = new MetricSums();
    sums.retire({});
    expect(await sums.page(new Set(), new Map([[1, false]]))).toContain('busgate_worker_up{worker="1"} 0\n');
  });
});
