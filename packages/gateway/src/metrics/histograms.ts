import type { Registry } from 'prom-client';
import { DRAIN_STEPS, type DrainStep } from '../drain/draining.ts';
import { type EventCounters, HANDLING_BUCKETS } from '../routes/events/counters.ts';
import { LAYER_CALLS, type LayerCalls } from './layer-calls.ts';
import { type HistogramDefinition, type Tally, TalliedHistogram } from './tally.ts';

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
  readonly #roundTrip: Tally;
  readonly #loopDelay: Tally;
  readonly #drain: Readonly<Record<DrainStep, Tally>>;

  constructor(registry: Registry, { events, layerCalls }: HistogramSources) {
    const handling = new TalliedHistogram(registry, EVENT_HANDLING);
    for (const { route, counters } of events) {
      const tally = handling.series(route);
      counters.onHandled = (seconds) => tally.add(seconds);
    }
    this.#roundTrip = new TalliedHistogram(registry, LAYER_ROUNDTRIP).series();
    const calls = tallies(new TalliedHistogram(registry, LAYER_CALL), LAYER_CALLS);
    layerCalls.onTaken = (call, seconds) => calls[call].add(seconds);
    this.#loopDelay = new TalliedHistogram(registry, LOOP_DELAY).series();
    this.#drain = tallies(new TalliedHistogram(registry, DRAIN), DRAIN_STEPS);
  }

  roundTrip(seconds: number): void {
    this.#roundTrip.add(seconds);
  }

  loopDelay(seconds: number): void {
    this.#loopDelay.add(seconds);
  }

  drained(step: DrainStep, seconds: number): void {
    this.#drain[step].add(seconds);
  }
}

/** A series for each value of a histogram's one label. */
function tallies<K extends string>(histogram: TalliedHistogram, values: readonly K[]): Readonly<Record<K, Tally>> {
  return Object.fromEntries(values.map((value) => [value, histogram.series(value)])) as Record<K, Tally>;
}

function histogram(name: string, help: string, buckets: readonly number[], ...labels: readonly string[]): HistogramDefinition {
  return { name, type: 'histogram', help, labels, buckets };
}
