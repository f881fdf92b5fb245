import { expect, test } from 'vitest';
import { FLEETS } from '../support/cursors/fleets.ts';
import { playMany } from '../support/cursors/play.ts';

test.concurrent.each([
  ['memory', 20],
  ['redis', 20],
  ['nats', 15],
] as const)(
  'readers that go from wire to wire, at any gateway of a fleet on %s that loses data and is purged, have each message once and in order, or are told a gap where it is lost',
  async (layer, runs) => {
    expect(await playMany(FLEETS[layer], { runs })).toBeGreaterThan(0);
  },
);
