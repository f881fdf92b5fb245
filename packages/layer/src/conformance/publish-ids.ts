import assert from 'node:assert/strict';
import { next, record, rejects } from './expect.ts';
import type { Family } from './suite.ts';

const KEPT = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] } as const;

export const publishIds: Family = {
  title: 'ids of publishes',
  needs: 'publishIds',
  tests: {
    'the same id publishes nothing and answers the position of the first, in any process': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorder = await record(there, 'kept.a');
      const first = await here.publish('kept.a', 'first', { id: 'key' });
      await here.publish('kept.a', 'between');
      for (const layer of [here, there]) assert.deepEqual(await layer.publish('kept.a', 'again', { id: 'key' }), first);
      await here.publish('kept.a', 'end');
      await recorder.seen('end');
      assert.deepEqual(recorder.texts, ['first', 'between', 'end']);
      const history = await there.history('kept.a', undefined, { last: 10 });
      assert.equal(history.messages.length, 3);
    },

    'in a race of 20 in two processes the first one wins, and all are answered its position': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorder = await record(there, 'kept.race');
      const published = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? here : there).publish('kept.race', `${n}`, { id: 'key' })));
      await here.publish('kept.race', 'end');
      await recorder.seen('end');
      assert.equal(recorder.events.length, 2);
      assert.deepEqual(new Set(published.map(({ position }) => position)), new Set([recorder.events[0]?.position]));
    },

    'ids are those of their room: no two pairs of name and id meet': async (stage) => {
      const layer = await stage.open({ history: [{ rooms: '>', size: 100, ageMs: 60_000 }] });
      const pairs = [
        ['a', 'b:c'],
        ['a:b', 'c'],
        ['a.b', 'c'],
        ['a', 'b.c'],
      ] as const;
      for (const [room, id] of pairs) await layer.publish(room, `${room} ${id}`, { id });
      const kept = await Promise.all(['a', 'a:b', 'a.b'].map(async (room) => (await layer.history(room, undefined, { last: 10 })).messages.length));
      assert.deepEqual(kept, [2, 1, 1]);
    },

    'only rooms with history: in another one it is UNSUPPORTED, naming it, and nothing is published': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorder = await record(there, 'live');
      await rejects(here.publish('live', 'x', { id: 'key' }), 'UNSUPPORTED', 'live');
      await here.publish('live', 'end');
      await recorder.seen('end');
      assert.deepEqual(recorder.texts, ['end']);
    },

    'what is not 1 to 128 visible ASCII characters is INVALID_OPTION': async (stage) => {
      const layer = await stage.open(KEPT);
      for (const id of ['', 'x'.repeat(129), 'a b', 'é', 'a\n']) await rejects(layer.publish('kept.a', 'x', { id }), 'INVALID_OPTION', 'id');
      assert.ok((await layer.publish('kept.a', 'x', { id: '~'.repeat(128) })).position);
    },

    'an id of a room is none of a worker queue of the same name': async (stage) => {
      const layer = await stage.open({ history: [{ rooms: '>', size: 100, ageMs: 60_000 }] });
      if (layer.capabilities.sendOptions !== true) return;
      await layer.publish('both', 'x', { id: 'key' });
      await layer.send('both', { n: 1 }, { id: 'key' });
      assert.deepEqual(await next(layer, 'both'), { n: 1 });
    },
  },
};
