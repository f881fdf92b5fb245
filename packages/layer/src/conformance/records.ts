import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '../layer.ts';
import { rejects } from './expect.ts';
import type { Family } from './suite.ts';

const PATIENCE_MS = 10_000;
const LOOK_AGAIN_MS = 50;

const HOUR_MS = 3_600_000;

export const records: Family = {
  title: 'records',
  needs: 'records',
  tests: {
    'a record is read by every process, by those that come later too': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.records.keep('bans', 'one', { n: 1, bytes: Uint8Array.of(1, 2) }, later());
      await there.records.keep('bans', 'two.b', { n: 2 }, later());
      const third = await stage.open();
      for (const layer of [here, there, third]) await has(layer, 'bans', { one: { n: 1, bytes: Uint8Array.of(1, 2) }, 'two.b': { n: 2 } });
    },

    'it outlives the process that kept it': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.records.keep('bans', 'one', { n: 1 }, later());
      await here.close();
      await has(there, 'bans', { one: { n: 1 } });
    },

    'one takes the place of that with its key, in its set alone': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.records.keep('bans', 'one', { old: true }, later());
      await here.records.keep('other', 'one', { other: true }, later());
      await there.records.keep('bans', 'one', { n: 1 }, later(2 * HOUR_MS));
      await here.records.keep('bans', 'one', { n: 2 }, later());
      await has(there, 'bans', { one: { n: 2 } });
      await has(there, 'other', { one: { other: true } });
      await has(there, 'bans.more', {});
    },

    'each ends at its time, and the others stay': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.records.keep('bans', 'brief', { n: 1 }, later(300));
      await here.records.keep('bans', 'long', { n: 2 }, later());
      await here.records.keep('bans', 'longer', { n: 3 }, later(300));
      await here.records.keep('bans', 'longer', { n: 4 }, later());
      await ends(there, 'bans', 'brief');
      await has(there, 'bans', { long: { n: 2 }, longer: { n: 4 } });
      await here.records.keep('bans', 'brief', { n: 5 }, later());
      await has(there, 'bans', { brief: { n: 5 }, long: { n: 2 }, longer: { n: 4 } });
    },

    'a thousand of them are read whole, and one may be kept for a hundred years': async (stage) => {
      const [here, there] = await stage.openTwo();
      await Promise.all(
        Array.from({ length: 1000 }, (_, n) => here.records.keep('bans', `${n}`, { n }, later(n === 7 ? 99 * 365.25 * 24 * HOUR_MS : HOUR_MS))),
      );
      const all = await there.records.all('bans');
      assert.deepEqual(
        all.map(({ key, message }) => [key, message['n']]).toSorted(([, one], [, other]) => Number(one) - Number(other)),
        Array.from({ length: 1000 }, (_, n) => [`${n}`, n]),
      );
    },

    'other prefixes and flush': async (stage) => {
      const [here, other] = [await stage.open(), await stage.open({ prefix: `${stage.prefix}-2` })];
      await here.records.keep('bans', 'one', { n: 1 }, later());
      await other.records.keep('bans', 'one', { n: 2 }, later());
      await here.flush();
      await has(here, 'bans', {});
      await has(other, 'bans', { one: { n: 2 } });
      await here.records.keep('bans', 'one', { n: 3 }, later());
      await has(here, 'bans', { one: { n: 3 } });
    },

    'what is no name, no message or no time to come': async (stage) => {
      const layer = await stage.open({ maxMessageBytes: 1000 });
      await rejects(layer.records.keep('no name', 'one', {}, later()), 'INVALID_NAME');
      await rejects(layer.records.keep('bans', 'a!b', {}, later()), 'INVALID_NAME');
      await rejects(layer.records.all('no name'), 'INVALID_NAME');
      await rejects(layer.records.keep('bans', 'one', { bad: NaN }, later()), 'INVALID_MESSAGE');
      await rejects(layer.records.keep('bans', 'one', { large: 'x'.repeat(1000) }, later()), 'MESSAGE_TOO_LARGE');
      for (const until of [new Date(Date.now() - 1), new Date(NaN), later(101 * 366 * 24 * HOUR_MS)]) {
        await rejects(layer.records.keep('bans', 'one', {}, until), 'INVALID_OPTION');
      }
      await has(layer, 'bans', {});
    },
  },
};

function later(ms = HOUR_MS): Date {
  return new Date(Date.now() + ms);
}

/** Resolves once the record is over: at its time, as far as processes agree on the broker's clock, which on a busy one they do by its slowest answer. */
async function ends(layer: ChannelLayer, set: string, key: string): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while ((await layer.records.all(set)).some((record) => record.key === key)) {
    assert.ok(performance.now() < until, `the record ${key} does not end`);
    await delay(LOOK_AGAIN_MS);
  }
}

async function has(layer: ChannelLayer, set: string, wanted: Readonly<Record<string, unknown>>): Promise<void> {
  const all = await layer.records.all(set);
  assert.equal(new Set(all.map(({ key }) => key)).size, all.length);
  assert.deepEqual(Object.fromEntries(all.map(({ key, message }) => [key, message])), wanted);
}
