import type { ChannelLayer, LayerFault } from '@busgate/layer';
import { expect } from 'vitest';
import type { Collector } from './events.ts';

export type Faults = Readonly<Partial<Record<LayerFault, number>>>;

/** Faults that were counted. */
export function faultsOf({ stats }: Pick<ChannelLayer, 'stats'>): Faults {
  return Object.fromEntries(Object.entries(stats.faults).filter(([, count]) => count > 0));
}

/** Resolves when exactly these faults have been counted, and each is in the log; the status tells of one of them. */
export async function expectFaults(layer: ChannelLayer, lines: Collector<string>, faults: Faults): Promise<void> {
  await expect.poll(() => faultsOf(layer), { interval: 5 }).toEqual(faults);
  const kinds = Object.keys(faults);
  expect(kinds).toContain(layer.status.reason?.split(':')[0]);
  for (const kind of kinds) await lines.find((line) => line.includes('a fault of the broker') && line.includes(`"kind":"${kind}"`), `a line of ${kind}`);
}
