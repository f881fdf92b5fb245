import type { Histogram, Registry } from 'prom-client';

/** Values counted by bucket, in plain numbers: one costs 5 ns, where an `observe` of prom-client costs 300. */
export class Tally {
  readonly #bounds: Float64Array;
  /** Of each bucket alone, and last of what is above all bounds. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds`: inclusive upper bounds of the buckets, growing. */
  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  get sum(): number {
    return this.#sum;
  }

  /** How many values are at most each of the bounds, and last how many there are. */
  cumulated(): readonly number[] {
    let total = 0;
    return Array.from(this.#counts, (count) => (total += count));
  }
}

export interface HistogramDefinition {
  readonly name: string;
  readonly type: 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
}

/** A histogram of a registry that is counted in tallies, one a series, and read when it is asked for. Its page is the same as that of prom-client's own. */
export class TalliedHistogram {
  readonly name: string;
  readonly #definition: HistogramDefinition;
  /** By their values of the labels, as JSON. */
  readonly #series = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly tally: Tally }>();

  constructor(registry: Registry, definition: HistogramDefinition) {
    this.name = definition.name;
    this.#definition = definition;
    // A registry asks its metrics for their name and `get`, and for nothing else.
    registry.registerMetric(this as unknown as Histogram);
  }

  /** The series with these values of the labels, which is there from now on: what is added to the answer is in it. */
  series(...values: readonly string[]): Tally {
    const key = JSON.stringify(values);
    const known = this.#series.get(key);
    if (known !== undefined) return known.tally;
    const labels = Object.fromEntries(this.#definition.labels.map((label, index) => [label, values[index] ?? '']));
    const tally = new Tally(this.#definition.buckets);
    this.#series.set(key, { labels, tally });
    return tally;
  }

  /** For the registry: every sample of this moment. */
  get(): object {
    const { name, type, help, buckets } = this.#definition;
    const values = [...this.#series.values()].flatMap(({ labels, tally }) => {
      const counts = tally.cumulated();
      const samples = counts.map((value, index) => ({ value, metricName: `${name}_bucket`, labels: { le: buckets[index] ?? '+Inf', ...labels } }));
      return [...samples, { value: tally.sum, metricName: `${name}_sum`, labels }, { value: counts.at(-1), metricName: `${name}_count`, labels }];
    });
    return { name, type, help, values, aggregator: 'sum' };
  }
}
