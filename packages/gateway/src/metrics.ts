import type { LayerStats, LayerStatus } from '@busgate/layer';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Counters, GatewayState } from './counters.ts';
import type { DrainStep } from './drain/draining.ts';
import { memoryLimit } from './memory/limit.ts';
import { Histograms } from './metrics/histograms.ts';
import type { ConsumerCounters } from './routes/consumer/counters.ts';
import { EventCounters } from './routes/events/counters.ts';

/** What the metrics are read from. */
export interface MetricSources {
  readonly counters: Counters;
  readonly state: GatewayState;
  readonly layer: { readonly status: LayerStatus; readonly stats: Readonly<LayerStats> };
  readonly log: { readonly dropped: number };
  readonly version: string;
  /** How often {@link Metrics.look} is called, in milliseconds. */
  readonly tickMs: number;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** `limits.sessions`. */
  readonly sessionsLimit: number;
  readonly events: readonly EventSource[];
  /** Those with queues of their own that have sessions of this process, and those that were lost. */
  readonly workers: { readonly size: number; readonly lost: number };
}

/** An event route, by its path. */
interface EventSource {
  readonly route: string;
  readonly counters: EventCounters;
  /** Events that a queue has taken and nobody has handled. */
  readonly inFlight: number;
  /** Of handlers in this process; undefined where they are elsewhere. */
  readonly consumers: ConsumerCounters | undefined;
}

/** One metric. No room, user or address is ever a label: the values of a label are a closed list. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  /** A number; or one for each value of the label, or for each list of values where there are several labels. */
  readonly read: (sources: MetricSources) => number | Readonly<Record<string, number>> | ReadonlyMap<string | readonly string[], number>;
}

const SESSIONS: readonly MetricDefinition[] = [
  gauge('busgate_info', 'Always 1; the version of this gateway.', ({ version }) => ({ [version]: 1 }), 'version'),
  gauge('busgate_sessions', 'Sessions open now.', ({ state }) => state.sessions, 'transport'),
  gauge('busgate_sessions_limit', 'Sessions that this process may hold.', ({ sessionsLimit }) => sessionsLimit),
  counter('busgate_connections_total', 'Sessions opened.', ({ counters }) => counters.opened, 'transport'),
  counter(
    'busgate_route_connections_total',
    'Sessions opened, and polls that had to wait, by the kind of their route.',
    ({ counters }) => counters.openedOn,
    'kind',
  ),
  counter('busgate_refused_total', 'Requests and upgrades refused, by error code.', ({ counters }) => counters.refused, 'reason'),
  counter('busgate_closes_total', 'Sessions ended, by close code; other: a code that only a client may choose.', ({ counters }) => counters.closes, 'code'),
  counter('busgate_error_frames_total', 'Error frames sent on multiplex routes.', ({ counters }) => counters.errorFrames),
  gauge('busgate_draining', '1 from the signal to stop on.', ({ state }) => (state.draining ? 1 : 0)),
];

const MESSAGES: readonly MetricDefinition[] = [
  counter('busgate_messages_received_total', 'Messages that clients sent to be published.', ({ counters }) => counters.received, 'transport'),
  counter('busgate_received_bytes_total', 'Payload bytes of these messages.', ({ counters }) => counters.receivedBytes, 'transport'),
  counter('busgate_publish_total', 'Publishes of clients that the layer took.', ({ counters }) => counters.published),
  counter('busgate_publish_failures_total', 'Publishes of clients that the layer did not take.', ({ counters }) => counters.publishFailures, 'reason'),
  gauge('busgate_rooms', 'Rooms with a member in this process.', ({ state }) => state.rooms),
  counter('busgate_deliveries_due_total', 'Messages x members of their room, counted at the flush: sent + dropped + queued.', ({ counters }) => counters.due),
  counter('busgate_deliveries_sent_total', 'Deliveries handed to the kernel.', ({ counters }) => counters.sent),
  counter('busgate_deliveries_dropped_total', 'Deliveries that never reached the kernel.', ({ counters }) => counters.dropped, 'reason'),
  gauge('busgate_deliveries_queued', 'Deliveries that wait in outboxes.', ({ state }) => state.queued),
  counter('busgate_sent_bytes_total', 'Bytes written to sessions, frame headers included.', ({ counters }) => counters.sentBytes),
  gauge('busgate_outbox_bytes', 'Bytes that wait in outboxes; those that several sessions wait for count for each.', ({ state }) => state.outboxBytes),
  counter('busgate_replayed_bytes_total', 'Bytes that clients were given of histories.', ({ state }) => state.replays.bytes),
  gauge('busgate_replays_waiting', 'Clients that wait for their turn to be given a history: see limits.replay.', ({ state }) => state.replays.waiting),
  gauge('busgate_memory_limit_bytes', 'Memory that this process may use: what its cgroup allows, else all of the machine.', memoryLimit),
  gauge(
    'busgate_memory_used_bytes',
    'What is held of it and cannot be given back, by its cgroup or else by this process: see limits.memory.',
    ({ state }) => state.memoryUsed,
  ),
  gauge('busgate_inbound_bytes', 'What clients have begun and not finished, with what holds it: see limits.inbound_total.', ({ state }) => state.inboundBytes),
];

const EVENTS: readonly MetricDefinition[] = [
  counter(
    'busgate_events_due_total',
    'Connects and messages of clients that were to be given to workers: queued + failed.',
    byRoute(({ counters }) => counters.due),
    'route',
  ),
  counter(
    'busgate_events_queued_total',
    'Events that a queue has taken: handled + undone, for whatever reason, + in flight.',
    byRoute(({ counters }) => counters.queued),
    'route',
  ),
  counter(
    'busgate_events_failed_total',
    'Events that no queue took in time.',
    byRoute(({ counters }) => counters.failed),
    'route',
  ),
  counter(
    'busgate_events_handled_total',
    'Events that a worker said were done.',
    byRoute(({ counters }) => counters.handled),
    'route',
  ),
  counter(
    'busgate_events_undone_total',
    'Events that were queued and never handled.',
    byRouteAnd(({ undone }) => undone),
    'route',
    'reason',
  ),
  gauge(
    'busgate_events_in_flight',
    'Events that a queue has taken and nobody has handled.',
    byRoute(({ inFlight }) => inFlight),
    'route',
  ),
  counter(
    'busgate_event_disconnects_total',
    'Ends of sessions that were queued.',
    byRoute(({ counters }) => counters.disconnects),
    'route',
  ),
  counter(
    'busgate_event_timeouts_total',
    'Answers of workers that did not come in time.',
    byRouteAnd(({ timeouts }) => timeouts),
    'route',
    'kind',
  ),
  counter(
    'busgate_event_replies_total',
    'Replies of workers that were obeyed.',
    byRoute(({ counters }) => counters.replies),
    'route',
  ),
  counter('busgate_event_replies_refused_total', 'Replies of workers that were dropped.', ({ events }) => sum(events, ({ refused }) => refused), 'reason'),
  counter(
    'busgate_event_replies_stale_total',
    'Replies of workers that no longer had the session.',
    byRoute(({ counters }) => counters.stale),
    'route',
  ),
  counter(
    'busgate_events_not_forwarded_total',
    'Events that the backend of a route with `url` did not handle.',
    ({ events }) => sum(events, ({ forwarding }) => forwarding),
    'reason',
  ),
  gauge('busgate_event_workers', 'Workers with a queue of their own that have sessions of this process.', ({ workers }) => workers.size),
  counter('busgate_event_workers_lost_total', 'Such workers that fell silent: their sessions went to others.', ({ workers }) => workers.lost),
];

const CONSUMERS: readonly MetricDefinition[] = [
  counter(
    'busgate_consumer_failures_total',
    'Errors of handlers in this process: each ended its session with 1011, or its request with 500.',
    byConsumer(({ handlers }) => handlers.failed),
    'route',
  ),
  counter(
    'busgate_consumer_unhandled_total',
    'Messages from groups and other processes that no handler of a consumer is named for.',
    byConsumer(({ handlers }) => handlers.unhandled),
    'route',
  ),
  counter(
    'busgate_consumer_loop_seconds_total',
    'Time for which handlers of this process kept the event loop: near 1 a second nothing else gets through.',
    byConsumer(({ loopMs }) => loopMs / 1000),
    'route',
  ),
  counter(
    'busgate_consumer_holdups_total',
    'Times at which handlers kept the event loop for 100 ms and more, and everybody waited.',
    byConsumer(({ holdups }) => holdups),
    'route',
  ),
];

const LAYER: readonly MetricDefinition[] = [
  gauge('busgate_layer_up', '1 while the layer is reached.', ({ layer }) => (layer.status.state === 'connected' ? 1 : 0)),
  counter('busgate_layer_connects_total', 'Times the layer was reached.', ({ layer }) => layer.stats.connects),
  counter('busgate_layer_faults_total', 'Faults of the broker, by kind; while it is away each kind once.', ({ layer }) => layer.stats.faults, 'kind'),
  counter('busgate_layer_published_total', 'Messages of rooms that this process published.', ({ layer }) => layer.stats.published),
  counter('busgate_layer_received_total', 'Messages of rooms that reached this process.', ({ layer }) => layer.stats.received),
  counter('busgate_layer_gaps_total', 'Places where messages of a room may have been lost, told to its subscribers.', ({ layer }) => layer.stats.gaps),
  counter('busgate_layer_repairs_total', 'Rooms repaired from their history without a gap.', ({ layer }) => layer.stats.repaired),
  counter('busgate_layer_undecodable_total', 'Payloads that could not be read and were skipped.', ({ layer }) => layer.stats.undecodable),
  counter('busgate_layer_unpositioned_total', 'Messages published around the history of their room: live only.', ({ layer }) => layer.stats.unpositioned),
  counter(
    'busgate_layer_dropped_total',
    'Messages of channels dropped because the channel was full, or because they expired unread.',
    ({ layer }) => ({ full: layer.stats.droppedFull, expired: layer.stats.expired }),
    'reason',
  ),
  counter(
    'busgate_layer_missed_heartbeats_total',
    'Heartbeats of other processes that were missed although both lived.',
    ({ layer }) => layer.stats.missedHeartbeats,
  ),
  counter(
    'busgate_layer_leases_lost_total',
    'Times this process was taken for dead, since it stood still or could not reach the broker: its event sessions ended.',
    ({ layer }) => layer.stats.leasesLost,
  ),
  counter(
    'busgate_layer_records_settled_total',
    'Ends that this process told for sessions of others that had died.',
    ({ layer }) => layer.stats.recordsSettled,
  ),
  gauge('busgate_layer_peers', 'Other processes heard within the lease.', ({ layer }) => layer.stats.peers),
  gauge('busgate_layer_silent_peers', 'Other processes that fell silent without a goodbye, within the lease.', ({ layer }) => layer.stats.silentPeers),
  counter('busgate_log_lines_dropped_total', 'Lines of the log that were not written: too many of a kind, or nobody read them.', ({ log }) => log.dropped),
];

/** A metric of a process with its values of one moment, as prom-client has it. */
export type MetricReport = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number];

/** Every metric of ours, in the order of documents. */
export const METRICS: readonly MetricDefinition[] = [...SESSIONS, ...MESSAGES, ...EVENTS, ...CONSUMERS, ...LAYER];

/** Gauges whose names say that they were counters: a linter of metrics refuses them. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Else their series come with the first collection of each kind, and a page under load has more of them. */
const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb'];

/** The metrics of one gateway, read when they are asked for. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #state: GatewayState;
  readonly #layer: MetricSources['layer'];
  readonly #histograms: Histograms;
  readonly #tickMs: number;
  readonly #now: () => number;
  #roundTrips = 0;
  #lookedAt: number | undefined;
  #scrape: Promise<string> | undefined;

  constructor(sources: MetricSources) {
    this.#state = sources.state;
    this.#layer = sources.layer;
    for (const definition of METRICS) register(this.#registry, definition, sources);
    this.#histograms = new Histograms(this.#registry, { events: sources.events, layerCalls: sources.counters.layerCalls });
    this.#tickMs = sources.tickMs;
    this.#now = sources.now;
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    const collections = this.#registry.getSingleMetric('nodejs_gc_duration_seconds');
    if (collections instanceof Histogram) for (const kind of GC_KINDS) collections.zero({ kind });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** To be called every `tickMs`, more often than heartbeats come: takes in how late it is called, and what the last heartbeat took. */
  look(): void {
    const now = this.#now();
    if (this.#lookedAt !== undefined) this.#histograms.loopDelay(Math.max(0, now - this.#lookedAt - this.#tickMs) / 1000);
    this.#lookedAt = now;
    const { roundTrip, roundTrips } = this.#layer.stats;
    if (roundTrip === undefined || roundTrips === this.#roundTrips) return;
    this.#roundTrips = roundTrips;
    this.#histograms.roundTrip(roundTrip / 1000);
  }

  /** A step of a drain has ended. */
  drained(step: DrainStep, ms: number): void {
    this.#histograms.drained(step, ms / 1000);
  }

  /** The page in Prometheus's text format. Who asks while it is being made, or in the same turn of the event loop, gets the same one. */
  scrape(): Promise<string> {
    this.#scrape ??= this.#read().finally(() => {
      setImmediate(() => {
        this.#scrape = undefined;
      });
    });
    return this.#scrape;
  }

  /** The same as values, for whoever sums those of several processes. */
  async report(): Promise<MetricReport[]> {
    this.#state.settle();
    return await this.#registry.getMetricsAsJSON();
  }

  async #read(): Promise<string> {
    // Every number of ours is read in this one turn, so that they balance.
    this.#state.settle();
    return await this.#registry.metrics();
  }
}

function register(registry: Registry, definition: MetricDefinition, sources: MetricSources): void {
  const { name, help, labels, type } = definition;
  const labelNames = [...labels];
  if (type === 'gauge') {
    const metric: Gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect: () => each(definition, sources, (labels, value) => metric.set(labels, value)),
    });
    return;
  }
  const metric: Counter = new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      metric.reset();
      each(definition, sources, (labels, value) => metric.inc(labels, value));
    },
  });
}

function each({ labels, read }: MetricDefinition, sources: MetricSources, put: (labels: Record<string, string>, value: number) => void): void {
  const value = read(sources);
  if (typeof value === 'number') return put({}, value);
  const counts: Iterable<readonly [string | readonly string[], number]> = value instanceof Map ? value : Object.entries(value);
  for (const [key, count] of counts) {
    const keys = typeof key === 'string' ? [key] : key;
    put(Object.fromEntries(labels.map((label, index) => [label, keys[index] ?? ''])), count);
  }
}

/** A number for each event route. */
function byRoute(read: (source: EventSource) => number): MetricDefinition['read'] {
  return ({ events }) => new Map(events.map((source) => [source.route, read(source)]));
}

/** A number for each route with handlers in this process. */
function byConsumer(read: (counters: ConsumerCounters) => number): MetricDefinition['read'] {
  return ({ events }) => new Map(events.flatMap(({ route, consumers }) => (consumers === undefined ? [] : [[route, read(consumers)] as const])));
}

/** A number for each event route and each of its counts of a kind. */
function byRouteAnd(read: (counters: EventCounters) => Readonly<Record<string, number>>): MetricDefinition['read'] {
  return ({ events }) =>
    new Map(events.flatMap(({ route, counters }) => Object.entries(read(counters)).map(([key, count]): [readonly string[], number] => [[route, key], count])));
}

/** Counts of all event routes together, for each of the keys; they are there also where no route is. */
function sum(events: readonly EventSource[], read: (counters: EventCounters) => Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const total: Record<string, number> = { ...read(new EventCounters()) };
  for (const { counters } of events) for (const [key, count] of Object.entries(read(counters))) total[key] = (total[key] ?? 0) + count;
  return total;
}

function gauge(name: string, help: string, read: MetricDefinition['read'], ...labels: readonly string[]): MetricDefinition {
  return { name, type: 'gauge', help, read, labels };
}

function counter(name: string, help: string, read: MetricDefinition['read'], ...labels: readonly string[]): MetricDefinition {
  return { name, type: 'counter', help, read, labels };
}
