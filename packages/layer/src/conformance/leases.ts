import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '../layer.ts';
import { next, rejects, take } from './expect.ts';
import type { Family } from './suite.ts';

/** The shortest there is. */
const TTL_MS = 1000;

export const leases: Family = {
  title: 'leases',
  needs: 'leases',
  tests: {
    'settle queues its message in the place of what is held, once, and is true for the one who took it': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease();
      await lease.hold('one', { channel: 'work', message: { held: 1 } });
      assert.equal(await lease.settle('one', { real: 1 }), true);
      assert.equal(await lease.settle('one', { real: 2 }), false);
      assert.equal(await lease.settle('never', { real: 3 }), false);
      await queueHas(there, [{ real: 1 }]);
      await lease.close();
      await queueHas(there, []);
    },

    'settle without a message queues nothing': async (stage) => {
      const layer = await stage.open();
      const lease = await layer.lease();
      await lease.hold('one', { channel: 'work', message: { held: 1 } });
      assert.equal(await lease.settle('one'), true);
      await lease.close();
      await queueHas(layer, []);
    },

    'settle queues its message in another queue where it is told to, and nothing where it was': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease();
      await lease.hold('one', { channel: 'work', message: { held: 1 } });
      assert.equal(await lease.settle('one', { real: 1 }, { channel: 'own' }), true);
      assert.equal(await lease.settle('one', { real: 2 }, { channel: 'own' }), false);
      await queueHas(there, [{ real: 1 }], 'own');
      await lease.close();
      await queueHas(there, []);
    },

    'close settles what is held with the messages held, those that were written last': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease();
      await lease.hold('one', { channel: 'work', message: { old: true } });
      await lease.hold('one', { channel: 'work', message: { held: 1, bytes: Uint8Array.of(1, 2) } });
      await lease.hold('two', { channel: 'other', message: { held: 2 } });
      await lease.close();
      await lease.close();
      await queueHas(there, [{ held: 1, bytes: Uint8Array.of(1, 2) }]);
      await queueHas(there, [{ held: 2 }], 'other');
      await rejects(lease.hold('three', { channel: 'work', message: {} }), 'LAYER_CLOSED');
      assert.equal(await lease.settle('one'), false);
      assert.equal(lease.lost.aborted, false);
    },

    'so does the close of the layer, and the end of its scope': async (stage) => {
      const [here, there] = await stage.openTwo();
      {
        await using lease = await there.lease();
        await lease.hold('one', { channel: 'work', message: { held: 1 } });
      }
      const lease = await there.lease();
      await lease.hold('one', { channel: 'work', message: { held: 2 } });
      await there.close();
      await queueHas(here, [{ held: 1 }, { held: 2 }]);
    },

    'a key that was settled may be held and settled again': async (stage) => {
      const layer = await stage.open();
      await using lease = await layer.lease();
      for (const n of [1, 2, 3]) {
        await lease.hold('one', { channel: 'work', message: { held: n } });
        assert.equal(await lease.settle('one', { real: n }), true);
      }
      await queueHas(layer, [{ real: 1 }, { real: 2 }, { real: 3 }]);
    },

    'two leases hold the same key, each its own': async (stage) => {
      const [here, there] = await stage.openTwo();
      const [mine, theirs] = [await here.lease(), await there.lease()];
      await mine.hold('one', { channel: 'work', message: { of: 'mine' } });
      await theirs.hold('one', { channel: 'work', message: { of: 'theirs' } });
      assert.equal(await mine.settle('one'), true);
      await theirs.close();
      await queueHas(here, [{ of: 'theirs' }]);
      await mine.close();
    },

    'what is settled is queued also where the queue is full, after what waits there': async (stage) => {
      const layer = await stage.open({ capacity: 1 });
      const lease = await layer.lease();
      for (const key of ['one', 'two', 'three']) await lease.hold(key, { channel: 'work', message: { held: key } });
      await layer.send('work', { first: true });
      await lease.settle('one', { settled: 'one' });
      await lease.close();
      assert.deepEqual((await take(layer, 'work', 2))[0], { first: true });
      await take(layer, 'work', 2);
    },

    'calls that are not awaited take place in their order, key by key': async (stage) => {
      const layer = await stage.open({ capacity: 1000 });
      await using lease = await layer.lease();
      const settled = Array.from({ length: 200 }, (_, n) => {
        void lease.hold(`${n}`, { channel: 'work', message: { held: n } });
        void lease.hold(`${n}`, { channel: 'work', message: { again: n } });
        return lease.settle(`${n}`, { real: n });
      });
      assert.deepEqual(new Set(await Promise.all(settled)), new Set([true]));
      const got = await take(layer, 'work', 200);
      assert.deepEqual(new Set(got.map(({ real }) => real)), new Set(Array.from({ length: 200 }, (_, n) => n)));
      await queueHas(layer, []);
    },

    '1,000 records are settled by close, each once': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 2000 });
      const lease = await here.lease();
      await Promise.all(Array.from({ length: 1000 }, (_, n) => lease.hold(`${n}`, { channel: 'work', message: { n } })));
      await lease.close();
      const got = await take(there, 'work', 1000);
      assert.equal(new Set(got.map(({ n }) => n)).size, 1000);
      await queueHas(there, []);
    },

    'a lease that is renewed lives beyond its time, and others leave alone what it holds': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease({ ttlMs: TTL_MS });
      await using watcher = await there.lease({ ttlMs: TTL_MS });
      await lease.hold('one', { channel: 'work', message: { held: 1 } });
      await delay(TTL_MS * 2.5);
      await queueHas(there, []);
      assert.deepEqual([lease.lost.aborted, watcher.lost.aborted, there.stats.recordsSettled], [false, false, 0]);
      assert.equal(await lease.settle('one', { real: 1 }), true);
      await queueHas(there, [{ real: 1 }]);
      await lease.close();
    },

    'a message lives as long as the record says, from the moment that it is queued': async (stage) => {
      const [here, there] = await stage.openTwo({ expiryMs: 200 });
      const lease = await here.lease();
      await lease.hold('brief', { channel: 'work', message: { brief: true }, expiryMs: 200 });
      await lease.hold('long', { channel: 'work', message: { long: true } });
      await delay(300);
      await lease.settle('brief', { brief: true });
      await lease.settle('long', { long: true });
      await delay(400);
      assert.deepEqual(await next(there, 'work'), { long: true });
      await lease.close();
    },

    'flush ends what is held': async (stage) => {
      const [here, there] = await stage.openTwo();
      const lease = await here.lease();
      await lease.hold('one', { channel: 'work', message: { held: 1 } });
      await here.flush();
      assert.equal(await lease.settle('one', { real: 1 }), false);
      await lease.hold('two', { channel: 'work', message: { held: 2 } });
      await lease.close();
      await queueHas(there, [{ held: 2 }]);
    },

    'a key that is no name, a channel of a process, a message that is none, a time out of range': async (stage) => {
      const layer = await stage.open();
      const lease = await layer.lease();
      await rejects(lease.hold('no name', { channel: 'work', message: {} }), 'INVALID_NAME');
      await rejects(lease.settle('a!b'), 'INVALID_NAME');
      await rejects(lease.hold('one', { channel: layer.newChannel(), message: {} }), 'INVALID_NAME');
      await rejects(lease.hold('one', { channel: 'work', message: { bad: NaN } }), 'INVALID_MESSAGE');
      await lease.hold('one', { channel: 'work', message: { held: true } });
      await rejects(lease.settle('one', { bad: NaN }), 'INVALID_MESSAGE');
      for (const expiryMs of [0, 86_400_001]) await rejects(lease.hold('two', { channel: 'work', message: {}, expiryMs }), 'INVALID_OPTION');
      for (const ttlMs of [0, 999, 3_600_001, 1500.5]) await rejects(layer.lease({ ttlMs }), 'INVALID_OPTION');
      await lease.close();
      await queueHas(layer, [{ held: true }]);
    },
  },
};

/** Exactly these messages wait in a queue, whatever their order. */
async function queueHas(layer: ChannelLayer, messages: readonly object[], queue = 'work'): Promise<void> {
  await layer.send(queue, { marker: true }, layer.capabilities.sendOptions === true ? { exempt: true } : undefined);
  const got = await take(layer, queue, messages.length + 1);
  assert.deepEqual(got.pop(), { marker: true });
  const texts = (all: readonly object[]): string[] => all.map((message) => JSON.stringify(message)).toSorted();
  assert.deepEqual(texts(got), texts(messages));
}
