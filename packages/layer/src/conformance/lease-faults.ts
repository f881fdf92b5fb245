import assert from 'node:assert/strict';
import type { ChannelLayer } from '../layer.ts';
import { rejects, take, until } from './expect.ts';
import type { Family } from './suite.ts';

type Step = (...layers: ChannelLayer[]) => Promise<void>;

/** Leases over a time without broker. */
export function leaseFaultTests(leave: Step, comeBack: Step): Family['tests'] {
  return {
    'what is held stays held over a time without broker, also where it returns empty: each record is settled once': async (stage) => {
      const [here, there] = await stage.openTwo();
      const [lease, other] = [await here.lease(), await there.lease()];
      for (let n = 0; n < 20; n += 1) await lease.hold(`${n}`, { channel: 'work', message: { held: n } });
      await leave(here, there);
      await comeBack(here, there);
      assert.equal(await lease.settle('0', { real: 0 }), true);
      await lease.close();
      await there.send('work', { end: true });
      const got = await take(there, 'work', 21);
      assert.deepEqual(got[0], { real: 0 });
      assert.deepEqual(new Set(got.slice(1, 20).map(({ held }) => held)), new Set(Array.from({ length: 19 }, (_, n) => n + 1)));
      assert.deepEqual([got[20], lease.lost.aborted, other.lost.aborted], [{ end: true }, false, false]);
      await other.close();
    },

    'what could not be settled while the broker was away is when it is back, once': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease();
      for (const key of ['one', 'two']) await lease.hold(key, { channel: 'work', message: { held: key } });
      await leave(here, there);
      await rejects(lease.settle('one', { real: 'one' }), 'LAYER_AWAY');
      await rejects(lease.settle('two'), 'LAYER_AWAY');
      await rejects(lease.hold('three', { channel: 'work', message: { held: 'three' } }), 'LAYER_AWAY');
      await comeBack(here, there);
      assert.deepEqual(await take(there, 'work', 1), [{ real: 'one' }]);
      await lease.close();
      await there.send('work', { end: true });
      assert.deepEqual(await take(there, 'work', 1), [{ end: true }]);
    },
  };
}

/** Others settle what one holds who is cut off for longer than its lease; when it is back it learns so, and settles nothing. */
export async function isSettledByOthers(parts: {
  here: ChannelLayer;
  apart: ChannelLayer;
  cut: () => Promise<void>;
  mend: () => Promise<void>;
}): Promise<void> {
  const { here, apart, cut, mend } = parts;
  if (here.capabilities.leases !== true) return;
  await using watcher = await here.lease({ ttlMs: 2000 });
  const lease = await apart.lease({ ttlMs: 2000 });
  await Promise.all(Array.from({ length: 50 }, (_, n) => lease.hold(`${n}`, { channel: 'work', message: { n } })));
  await cut();
  const got = await take(here, 'work', 50);
  assert.deepEqual(new Set(got.map(({ n }) => n)), new Set(Array.from({ length: 50 }, (_, n) => n)));
  await mend();
  await until(() => lease.lost.aborted, 'the lease that was lost is known to be');
  assert.equal(await lease.settle('0', { late: true }), false);
  await rejects(lease.hold('more', { channel: 'work', message: { late: true } }), 'TIMEOUT');
  await lease.close();
  await here.send('work', { end: true });
  assert.deepEqual(await take(here, 'work', 1), [{ end: true }]);
  assert.deepEqual([watcher.lost.aborted, here.stats.recordsSettled, apart.stats.leasesLost], [false, 50, 1]);
}
