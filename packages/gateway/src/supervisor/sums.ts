import { AggregatorRegistry, Gauge, Registry } from 'prom-client';
import type { MetricReport } from '../metrics.ts';

/** What each worker's own value of a gauge is to all of them together, where it is not a share of the whole. */
const NOT_SUMMED: ReadonlyMap<string, 'min' | 'max'> = new Map([
  ['busgate_info', 'max'],
  // Of the container, in which all of them are.
  ['busgate_memory_limit_bytes', 'max'],
  ['busgate_memory_used_bytes', 'max'],
  // All of them, or it goes on: one that is replaced is no drain to the outside, and a layer that one has lost is a fault.
  ['busgate_draining', 'min'],
  ['busgate_layer_up', 'min'],
  // One worker may have sessions of all of them.
  ['busgate_event_workers', 'max'],
  ['busgate_layer_peers', 'max'],
  ['busgate_layer_silent_peers', 'max'],
  ['process_start_time_seconds', 'min'],
  ['process_max_fds', 'min'],
  ['nodejs_version_info', 'max'],
]);
/** Of a time that one loop lags no sum is one either: the worst is told. */
const LAG = /^nodejs_eventloop_lag_/;

const QUEUED = 'busgate_deliveries_queued';
const DROPPED = 'busgate_deliveries_dropped_total';
const IN_FLIGHT = 'busgate_events_in_flight';
const UNDONE = 'busgate_events_undone_total';

/** One process whose numbers are in the sums. */
export type CountedProcess = object;

/**
 * The metrics of several processes as those of one. Counters and histograms never fall: of a process that does not answer the last numbers count on, and of one that has
 * ended for good. Gauges are of those that answer.
 */
export class MetricSums {
  readonly #last = new Map<CountedProcess, readonly MetricReport[]>();
  #gone: readonly MetricReport[] = [];

  /** What a process says now. */
  report(source: CountedProcess, metrics: readonly MetricReport[]): void {
    this.#last.set(source, metrics.map(withAggregator));
  }

  /** A process has ended. What it had queued for its sessions has reached nobody, and nobody will tell it that an event was handled. */
  retire(source: CountedProcess): void {
    const metrics = this.#last.get(source);
    this.#last.delete(source);
    if (metrics === undefined) return;
    this.#gone = sumOf([this.#gone, metrics.filter(isCumulative), queuedAsDropped(metrics), inFlightAsLost(metrics)]);
  }

  /** The page in Prometheus's text format. `answered`: whose gauges are of now. `up`: whether each worker, by its number, is. */
  page(answered: ReadonlySet<CountedProcess>, up: ReadonlyMap<number, boolean>): Promise<string> {
    const shares = [...this.#last].map(([source, metrics]) => (answered.has(source) ? metrics : metrics.filter(isCumulative)));
    const registry = AggregatorRegistry.aggregate([this.#gone, ...shares] as object[][]) as Registry;
    const gauge = new Gauge({
      name: 'busgate_worker_up',
      help: '1 while this worker answers; only with several workers, or after SIGHUP.',
      labelNames: ['worker'],
      registers: [registry],
    });
    for (const [worker, isUp] of up) gauge.set({ worker: String(worker) }, isUp ? 1 : 0);
    return registry.metrics();
  }

  get contentType(): string {
    return Registry.PROMETHEUS_CONTENT_TYPE;
  }
}

function withAggregator(metric: MetricReport): MetricReport {
  return { ...metric, aggregator: LAG.test(metric.name) ? 'max' : (NOT_SUMMED.get(metric.name) ?? 'sum') };
}

function isCumulative({ type }: MetricReport): boolean {
  // In a report types are words, whatever prom-client's declarations say.
  return ['counter', 'histogram', 'summary'].includes(String(type));
}

function queuedAsDropped(metrics: readonly MetricReport[]): MetricReport[] {
  const queued = metrics.find(({ name }) => name === QUEUED)?.values[0]?.value ?? 0;
  const dropped = metrics.find(({ name }) => name === DROPPED);
  return dropped === undefined ? [] : [{ ...dropped, values: [{ value: queued, labels: { reason: 'closed' } }] }];
}

function inFlightAsLost(metrics: readonly MetricReport[]): MetricReport[] {
  const inFlight = metrics.find(({ name }) => name === IN_FLIGHT)?.values ?? [];
  const undone = metrics.find(({ name }) => name === UNDONE);
  return undone === undefined ? [] : [{ ...undone, values: inFlight.map(({ value, labels }) => ({ value, labels: { ...labels, reason: 'lost' } })) }];
}

function sumOf(shares: readonly (readonly MetricReport[])[]): readonly MetricReport[] {
  const registry = AggregatorRegistry.aggregate(shares as object[][]);
  return registry.getMetricsAsArray().map((metric) => (metric as unknown as { get(): MetricReport }).get());
}
