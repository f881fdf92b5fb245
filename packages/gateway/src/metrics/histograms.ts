import { Histogram, type Registry } from 'prom-client';
import { DRAIN_STEPS, type DrainStep } from '../drain/draining.ts';
import { type EventCounters, HANDLING_BUCKETS } from '../routes/events/counters.ts';
import { LAYER_CALLS, type LayerCalls } from './layer-calls.ts';

interface HistogramDefinition {
  readonly name: string;
  readonly type: 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
}

/** Of what a broker is asked, in seconds. */
const BROKER_BUCKETS: readonly number[] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** A timer is a millisecond late in the best of cases. */
const LOOP_BUCKETS: readonly number[] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DRAIN_BUCKETS: readonly number[] = [0.05, 0.25, 1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300];

/** How long workers take. */
const EVENT_HANDLING = histogram('busgate_event_handling_seconds', 'From the queueing of an event to its being done.', HANDLING_BUCKETS, 'route');

/** How long the broker takes, as a message of a room takes from its publish to the socket's gateway. */
const LAYER_ROUNDTRIP = histogram('busgate_layer_roundtrip_seconds', 'From a heartbeat of this process to its coming back through the broker.', BROKER_BUCKETS);

const LAYER_CALL = histogram(
  'busgate_layer_call_seconds',
  'What the layer took for what clients asked, failures included: publish, subscribe a room, history (readings, and joins that begin with one), send to a queue.',
  BROKER_BUCKETS,
  'call',
);

const LOOP_DELAY = histogram(
  'busgate_event_loop_delay_seconds',
  'How late the event loop came to a timer of its own, which is due every second or more often.',
  LOOP_BUCKETS,
);

const DRAIN = histogram(
  'busgate_drain_seconds',
  'Steps of a drain: notice to load balancers, closing the sessions, leaving (until the last of them is gone).',
  DRAIN_BUCKETS,
  'step',
);

/** Metrics that are no plain numbers, in the order of documents. */
export const HISTOGRAMS: readonly HistogramDefinition[] = [EVENT_HANDLING, LAYER_ROUNDTRIP, LAYER_CALL, LOOP_DELAY, DRAIN];

export interface HistogramSources {
  readonly events: readonly { readonly route: string; readonly counters: EventCounters }[];
  readonly layerCalls: LayerCalls;
}

/** The histograms of one gateway. Each has all its series from the start. */
export class Histograms {
  readonly #roundTrip: Histogram;
  readonly #loopDelay: Histogram;
  readonly #drain: Histogram;

  constructor(registry: Registry, { events, layerCalls }: HistogramSources) {
    const handling = register(registry, EVENT_HANDLING);
    for (const { route, counters } of events) {
      handling.zero({ route });
      counters.onHandled = (seconds) => handling.observe({ route }, seconds);
    }
    this.#roundTrip = register(registry, LAYER_ROUNDTRIP);
    const calls = register(registry, LAYER_CALL);
    for (const call of LAYER_CALLS) calls.zero({ call });
    layerCalls.onTaken = (call, seconds) => calls.observe({ call }, seconds);
    this.#loopDelay = register(registry, LOOP_DELAY);
    this.#drain = register(registry, DRAIN);
    for (const step of DRAIN_STEPS) this.#drain.zero({ step });
  }

  roundTrip(seconds: number): void {
    this.#roundTrip.observe(seconds);
  }

  loopDelay(seconds: number): void {
    this.#loopDelay.observe(seconds);
  }

  drained(step: DrainStep, seconds: number): void {
    this.#drain.observe({ step }, seconds);
  }
}

function register(registry: Registry, { name, help, labels, buckets }: HistogramDefinition): Histogram {
  return new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] });
}

function histogram(name: string, help: string, buckets: readonly number[], ...labels: readonly string[]): HistogramDefinition {
  return { name, type: 'histogram', help, labels, buckets };
}
