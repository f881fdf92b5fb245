import { expect, test } from 'vitest';
import { FLEETS } from '../support/cursors/fleets.ts';
import { playMany } from '../support/cursors/play.ts';

// The other layers, and more of it: test/outside/cursors.test.ts.
test('readers that go from wire to wire, at any gateway, have each message once and in order, or are told a gap where it is lost', async () => {
  expect(await playMany(FLEETS.memory, { runs: 3 })).toBeGreaterThan(0);
});
