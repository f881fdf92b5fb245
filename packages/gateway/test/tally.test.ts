import { AggregatorRegistry, Histogram, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { TalliedHistogram } from '../src/metrics/tally.ts';

const NAME = 'busgate_test_seconds';
const HELP = 'What a test takes: a \\ and\na line break, too.';
const BUCKETS = [0.0025, 0.5, 1];
/** On bounds, between them, below all and above all. */
const VALUES = [0, 0.0025, 0.0026, 0.5, 0.75, 1, 1.5, 100];

/** The same histogram in prom-client's own form and in ours, in registries of their own. */
function both(labels: readonly string[]): { readonly registries: readonly [Registry, Registry]; readonly own: Histogram; readonly ours: TalliedHistogram } {
  const registries = [new Registry(), new Registry()] as const;
  const own = new Histogram({ name: NAME, help: HELP, labelNames: [...labels], buckets: BUCKETS, registers: [registries[0]] });
  const ours = new TalliedHistogram(registries[1], { name: NAME, type: 'histogram', help: HELP, labels, buckets: BUCKETS });
  return { registries, own, ours };
}

describe('a histogram that is counted in tallies', () => {
  test("has, byte for byte, the page of prom-client's own: without labels, before its first value and after", async () => {
    const { registries, own, ours } = both([]);
    const tally = ours.series();
    expect(await registries[1].metrics()).toBe(await registries[0].metrics());
    for (const value of VALUES) {
      own.observe(value);
      tally.add(value);
    }
    expect(await registries[1].metrics()).toBe(await registries[0].metrics());
    expect(await registries[1].metrics()).toContain(`${NAME}_bucket{le="0.5"} 4\n`);
  });

  test('has it with labels, each series from its start on', async () => {
    const { registries, own, ours } = both(['route', 'kind']);
    own.zero({ route: '/"a"', kind: 'x' });
    own.zero({ route: '/b', kind: 'x' });
    const first = ours.series('/"a"', 'x');
    ours.series('/b', 'x');
    expect(ours.series('/"a"', 'x')).toBe(first);
    for (const value of VALUES) {
      own.observe({ route: '/"a"', kind: 'x' }, value);
      first.add(value);
    }
    expect(await registries[1].metrics()).toBe(await registries[0].metrics());
  });

  test('is summed with that of another process', async () => {
    const { registries, own, ours } = both(['route']);
    const tally = ours.series('/a');
    for (const value of VALUES) {
      own.observe({ route: '/a' }, value);
      tally.add(value);
    }
    const [theirs, mine] = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()));
    const sum = (report: unknown): Promise<string> => AggregatorRegistry.aggregate([report, report] as object[][]).metrics();
    expect(await sum(mine)).toBe(await sum(theirs));
    expect(await sum(mine)).toContain(`${NAME}_count{route="/a"} ${2 * VALUES.length}\n`);
  });
});
