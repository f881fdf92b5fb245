import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '../layer.ts';
import { next, soon, take, until } from './expect.ts';
import { Random } from './random.ts';
import type { Family } from './suite.ts';

export const otherReaders: Family = {
  title: 'an aborted receive, and other readers of the queue',
  needs: 'queues',
  tests: {
    'what is sent after it goes to the reader that is left, in order': async (stage) => {
      const [left, there] = await stage.openTwo();
      const sender = await stage.open();
      for (let round = 0; round < 10; round += 1) {
        const stop = new AbortController();
        const receiving = left.receive('work', { signal: stop.signal });
        await turn();
        // Its process has been answered since it began to wait, and since it ceased to: the broker knows both.
        await left.send('answered', { round });
        await next(left, 'answered');
        stop.abort();
        await assert.rejects(soon(receiving, 'the aborted receive'));
        await turn();
        await left.send('answered', { round });
        await next(left, 'answered');
        const reading = take(there, 'work', 4);
        for (let n = 0; n < 4; n += 1) await sender.send('work', { n });
        assert.deepEqual(
          await reading,
          Array.from({ length: 4 }, (_, n) => ({ n })),
        );
      }
    },

    'it keeps no message: whatever is sent at the same moment comes to the reader that is left, once': async (stage) => {
      const [left, there] = await stage.openTwo({ capacity: 1000 });
      const sender = await stage.open({ capacity: 1000 });
      const random = new Random(7);
      const got: unknown[] = [];
      const done = new AbortController();
      const reading = readAll(there, got, done.signal);
      for (let n = 0; n < 200; n += 1) {
        const stop = new AbortController();
        const receiving = left.receive('work', { signal: stop.signal }).then(
          (message) => got.push(message['n']),
          () => undefined,
        );
        const sending = sender.send('work', { n });
        await (random.below(2) === 0 ? turn() : delay(1));
        stop.abort();
        await Promise.all([soon(receiving, 'the aborted receive'), sending]);
      }
      await until(() => got.length >= 200, 'every message');
      done.abort();
      await reading;
      assert.deepEqual(
        got.toSorted((a, b) => Number(a) - Number(b)),
        Array.from({ length: 200 }, (_, n) => n),
      );
    },

    'two processes whose receives are aborted all the time get every message between them, each once': async (stage) => {
      const readers = await stage.openTwo({ capacity: 1000 });
      const sender = await stage.open({ capacity: 1000 });
      const got: unknown[] = [];
      const done = new AbortController();
      const reading = readers.map(async (reader, index) => {
        const random = new Random(index + 1);
        while (!done.signal.aborted) {
          const signal = AbortSignal.timeout(1 + random.below(5));
          await reader.receive('work', { signal }).then(
            (message) => got.push(message['n']),
            () => undefined,
          );
        }
      });
      for (let n = 0; n < 200; n += 1) {
        await sender.send('work', { n });
        if (n % 5 === 0) await delay(1);
      }
      await until(() => got.length >= 200, 'every message');
      done.abort();
      await soon(Promise.all(reading), 'the readers end');
      assert.deepEqual(
        got.toSorted((a, b) => Number(a) - Number(b)),
        Array.from({ length: 200 }, (_, n) => n),
      );
    },
  },
};

async function readAll(layer: ChannelLayer, got: unknown[], signal: AbortSignal): Promise<void> {
  for (;;) {
    const message = await layer.receive('work', { signal }).catch(() => undefined);
    if (message === undefined) return;
    got.push(message['n']);
  }
}
