import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { next, soon, take } from './expect.ts';
import { places } from './places.ts';
import { Random } from './random.ts';
import type { Family } from './suite.ts';

export const cancellation: Family = {
  title: 'an aborted receive',
  tests: {
    'rejects with signal.reason, also where the signal was aborted before': async (stage) => {
      for (const { reader, channel } of await places(stage)) {
        const reason = new Error('no longer wanted');
        const stop = new AbortController();
        const receiving = reader.receive(channel, { signal: stop.signal });
        stop.abort(reason);
        await assert.rejects(soon(receiving, 'the aborted receive'), (error) => error === reason);
        await assert.rejects(reader.receive(channel, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
      }
    },

    'loses nothing: the next receive gets the message, also where the signal was aborted before': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const stop = new AbortController();
        const receiving = reader.receive(channel, { signal: stop.signal }).catch(() => undefined);
        await turn();
        stop.abort();
        await soon(receiving, 'the aborted receive');
        await sender.send(channel, { n: 1 });
        await reader.receive(channel, { signal: AbortSignal.abort() }).catch(() => undefined);
        assert.deepEqual(await next(reader, channel), { n: 1 });
      }
    },

    'loses nothing at 500 random moments: each message arrives once, in order': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const random = new Random(11);
        const got: unknown[] = [];
        const sending: Promise<void>[] = [];
        for (let n = 0; n < 500; n += 1) {
          const stop = new AbortController();
          const receiving = reader.receive(channel, { signal: stop.signal }).then(
            (message) => got.push(message['n']),
            () => undefined,
          );
          if (random.below(2) === 0) await moment(random);
          sending.push(sender.send(channel, { n }));
          await moment(random);
          stop.abort();
          await soon(receiving, 'the aborted receive');
          if (n % 10 === 9) {
            await Promise.all(sending);
            for (const message of await take(reader, channel, n + 1 - got.length)) got.push(message['n']);
          }
        }
        assert.deepEqual(
          got,
          Array.from({ length: 500 }, (_, n) => n),
        );
      }
    },

    'does not disturb the others that wait: they are served in waiting order': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const stop = new AbortController();
        const first = next(reader, channel);
        const aborted = [reader.receive(channel, { signal: stop.signal }), reader.receive(channel, { signal: stop.signal })].map((receiving) =>
          receiving.then(
            () => 'received',
            () => 'aborted',
          ),
        );
        const last = next(reader, channel);
        await turn();
        stop.abort();
        await sender.send(channel, { n: 1 });
        await sender.send(channel, { n: 2 });
        assert.deepEqual(await Promise.all([first, last]), [{ n: 1 }, { n: 2 }]);
        assert.deepEqual(await Promise.all(aborted), ['aborted', 'aborted']);
      }
    },

    'leaves no listener on the signal, nor does one that received': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const stop = new AbortController();
        const received = reader.receive(channel, { signal: stop.signal });
        await sender.send(channel, { n: 1 });
        await soon(received, 'a message');
        assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
        const waiting = Promise.allSettled(Array.from({ length: 5 }, () => reader.receive(channel, { signal: stop.signal })));
        await turn();
        stop.abort();
        await soon(waiting, 'the aborted receives');
        assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
      }
    },
  },
};

/** Nothing, a microtask, a turn of the event loop, or a few of them. */
async function moment(random: Random): Promise<void> {
  const kind = random.below(6);
  if (kind === 0) return;
  if (kind < 3) for (let count = random.below(20); count >= 0; count -= 1) await Promise.resolve();
  else if (kind < 5) await turn();
  else await delay(1);
}
