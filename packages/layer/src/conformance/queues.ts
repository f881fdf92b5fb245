import assert from 'node:assert/strict';
import { next, rejects, soon, take, until } from './expect.ts';
import { allowed } from './name-rules.ts';
import type { Family } from './suite.ts';

export const queues: Family = {
  title: 'worker queues',
  needs: 'queues',
  tests: {
    'send then receive in any process: the message is equal in every field': async (stage) => {
      const [here, there] = await stage.openTwo();
      const message = { type: 'websocket.receive', text: 'hi', order: 3, nested: { list: [1, null, 'x'] }, bytes: Uint8Array.of(0, 255) };
      for (const reader of [here, there]) {
        await here.send('work', message);
        assert.deepEqual(await next(reader, 'work'), message);
      }
    },

    'a receive that began before the send gets the message': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (const reader of [here, there]) {
        const received = next(reader, 'work');
        await here.send('work', { early: true });
        assert.deepEqual(await received, { early: true });
      }
    },

    'in order: what one process sends without waiting arrives in sending order': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 1000 });
      await Promise.all(Array.from({ length: 300 }, (_, n) => here.send('work', { n })));
      assert.deepEqual(
        await take(there, 'work', 300),
        Array.from({ length: 300 }, (_, n) => ({ n })),
      );
    },

    'what two processes send one after the other arrives in that order': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (let n = 0; n < 40; n += 1) await (n % 2 === 0 ? here : there).send('work', { n });
      assert.deepEqual(
        await take(here, 'work', 40),
        Array.from({ length: 40 }, (_, n) => ({ n })),
      );
    },

    'several listeners of one process take turns: waiters are served in waiting order': async (stage) => {
      const [here, there] = await stage.openTwo();
      const waiting = Array.from({ length: 10 }, () => next(here, 'work'));
      for (let n = 0; n < 10; n += 1) await there.send('work', { n });
      assert.deepEqual(
        await Promise.all(waiting),
        Array.from({ length: 10 }, (_, n) => ({ n })),
      );
    },

    'delivered at most once, to only one listener: three processes read 1,500 messages, all of them and none twice': async (stage) => {
      const layers = [await stage.open({ capacity: 2000 }), await stage.open({ capacity: 2000 }), await stage.open({ capacity: 2000 })];
      const seen: number[] = [];
      const done = new AbortController();
      const readers = layers.map(async (layer) => {
        for (;;) {
          const message = await layer.receive('work', { signal: done.signal }).catch(() => undefined);
          if (message === undefined) return;
          seen.push(message['n'] as number);
        }
      });
      await Promise.all(Array.from({ length: 1500 }, (_, n) => layers[n % 3]!.send('work', { n })));
      await until(() => seen.length >= 1500, '1,500 messages');
      await layers[0]!.send('end', { last: true });
      await next(layers[1]!, 'end');
      done.abort();
      await soon(Promise.all(readers), 'the readers end');
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        Array.from({ length: 1500 }, (_, n) => n),
      );
    },

    'a queue of another name gets nothing, also where names share a beginning': async (stage) => {
      const [here, there] = await stage.openTwo();
      const names = allowed(here, ['work', 'work1', 'Work', 'work.1', 'work.1.2', 'work:1', 'work-1', '1']);
      for (const name of names) await here.send(name, { name });
      for (const name of names) assert.deepEqual(await next(there, name), { name });
      for (const name of names) {
        await here.send(name, { end: name });
        assert.deepEqual(await next(there, name), { end: name });
      }
    },

    'a busy queue does not starve a quiet one': async (stage) => {
      const [here, there] = await stage.openTwo();
      const stop = new AbortController();
      const flood = async (): Promise<void> => {
        while (!stop.signal.aborted) {
          await there.send('busy', { noise: true });
          await here.receive('busy');
        }
      };
      const quiet = async (): Promise<void> => {
        for (let n = 0; n < 20; n += 1) {
          await there.send('quiet', { n });
          assert.deepEqual(await next(here, 'quiet'), { n });
        }
        stop.abort();
      };
      await Promise.all([flood(), quiet()]);
    },

    'a message waits for its reader though its sender has closed': async (stage) => {
      const [here, there] = await stage.openTwo();
      await there.send('work', { left: true });
      await there.close();
      assert.deepEqual(await next(here, 'work'), { left: true });
    },

    'CHANNEL_FULL when capacity unexpired messages wait, naming channel and capacity; after one receive a send passes again': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 3 });
      for (let n = 0; n < 3; n += 1) await here.send('work', { n });
      await rejects(here.send('work', { n: 3 }), 'CHANNEL_FULL', 'work', '3');
      await rejects(there.send('work', { n: 3 }), 'CHANNEL_FULL', 'work', '3');
      await there.send('other', { n: 0 });
      assert.deepEqual(await next(there, 'work'), { n: 0 });
      await here.send('work', { n: 4 });
      await rejects(here.send('work', { n: 5 }), 'CHANNEL_FULL');
      assert.deepEqual(await take(there, 'work', 3), [{ n: 1 }, { n: 2 }, { n: 4 }]);
    },

    'capacity is exact with 20 concurrent senders': async (stage) => {
      const layers = await stage.openTwo({ capacity: 3 });
      const sent = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => layers[n % 2]!.send('work', { n })));
      const refused = sent.filter((result) => result.status === 'rejected');
      for (const { reason } of refused) await rejects(Promise.reject(reason), 'CHANNEL_FULL', 'work');
      assert.equal(refused.length, 17);
      const accepted = sent.flatMap((result, n) => (result.status === 'fulfilled' ? [n] : []));
      const received = await take(layers[0], 'work', 3);
      assert.deepEqual(
        received.map((message) => message['n'] as number).toSorted((a, b) => a - b),
        accepted,
      );
    },

    'send never waits for a reader': async (stage) => {
      const layer = await stage.open();
      for (let n = 0; n < 100; n += 1) await soon(layer.send('work', { n }), 'send');
      await rejects(layer.send('work', { n: 100 }), 'CHANNEL_FULL');
    },
  },
};
