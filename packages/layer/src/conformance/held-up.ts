import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Message } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { record, soon, take } from './expect.ts';
import type { Elsewhere } from './subject.ts';
import type { Family } from './suite.ts';

/** Longer than anything that a layer waits for its broker. */
const HELD_UP_MS = 6000;
const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] };

/** A process that stood still has not read what came meanwhile: it reads first, and judges then. */
export const heldUp: Family = {
  title: 'a process that is held up for longer than it would wait',
  tests: {
    'what it had called for is answered, and its connection is the same': async (stage) => {
      const [here, there] = await stage.openTwo(HISTORY);
      const calls = underWay(here, there, (await prepare(here, there)).position);
      await turn();
      standStill(HELD_UP_MS);
      await soon(Promise.all(calls), 'every call');
      assert.deepEqual([here.stats.connects, there.stats.connects, here.stats.gaps, there.stats.gaps], [1, 1, 0, 0]);
    },

    'by its own work or by SIGSTOP: no message of a worker queue is lost or out of order': async (stage) => {
      const sender = await stage.open();
      if (!sender.capabilities.queues || stage.subject.elsewhere === undefined) return;
      await using blocked = await stage.subject.elsewhere({ prefix: stage.prefix });
      await using stopped = await stage.subject.elsewhere({ prefix: stage.prefix });
      const waiting = await Promise.all([waitAt(blocked, sender, 'blocked'), waitAt(stopped, sender, 'stopped')]);
      await blocked.block(HELD_UP_MS);
      stopped.signal('SIGSTOP');
      for (let n = 0; n < 3; n += 1) for (const queue of ['blocked', 'stopped']) await sender.send(queue, { n });
      await delay(HELD_UP_MS);
      stopped.signal('SIGCONT');
      for (const [index, reader] of [blocked, stopped].entries()) {
        const got = [await soon(waiting[index]?.received ?? Promise.reject(new Error()), 'the message that came meanwhile')];
        for (let n = 1; n < 3; n += 1) got.push(await soon(reader.receive(index === 0 ? 'blocked' : 'stopped'), 'the next one'));
        assert.deepEqual(
          got,
          Array.from({ length: 3 }, (_, n) => ({ n })),
        );
      }
    },
  },
};

/** Everything that the calls under way need is there. */
async function prepare(here: ChannelLayer, there: ChannelLayer): Promise<{ readonly position: string }> {
  const { history, queues } = here.capabilities;
  const { position = '' } = history ? await here.publish('kept.1', 'before') : {};
  if (queues) {
    await here.send('work', { n: 0 });
    assert.deepEqual(await take(there, 'work', 1), [{ n: 0 }]);
  }
  return { position };
}

/** Calls of every kind, none of which has been answered. */
function underWay(here: ChannelLayer, there: ChannelLayer, since: string): Promise<unknown>[] {
  const { history, queues, groups } = here.capabilities;
  const channel = there.newChannel();
  return [
    here.publish('room', 'live'),
    record(there, 'another'),
    here.send(channel, { n: 1 }),
    ...(queues ? [here.send('work', { n: 1 }), there.receive('work'), there.send('elsewhere', { n: 1 })] : []),
    ...(groups ? [here.groupAdd('group', channel)] : []),
    ...(history ? [here.publish('kept.1', 'meanwhile'), there.subscribe('kept.1', () => undefined, { since })] : []),
  ];
}

/** A receive that waits at the broker. It has had a message, so that nothing need be made for the next one. */
async function waitAt(reader: Elsewhere, sender: ChannelLayer, queue: string): Promise<{ readonly received: Promise<Message> }> {
  const first = reader.receive(queue);
  await sender.send(queue, { first: true });
  assert.deepEqual(await soon(first, 'a first message'), { first: true });
  return { received: reader.receive(queue) };
}

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
