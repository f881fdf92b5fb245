import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import type { ChannelLayer } from '../layer.ts';
import { next } from './expect.ts';
import type { Family } from './suite.ts';

/** Times between two looks. */
const TIMES = 40;
/** Of the memory of buffers that is kept for the next read. */
const BYTES = 100_000;
/** The runner has objects too, that come and go: what is kept each time grows in every stretch. */
const STRETCHES = 4;
const HISTORY = { history: [{ rooms: 'kept.>', size: 50, ageMs: 60_000 }] };

/** A process lives for months on one connection: a closure on a promise of the connection's, or a listener of its signal, would stay of each call until then. */
export const nothingKept: Family = {
  title: 'nothing of a call is kept once it is over, as long as the connection lives',
  tests: {
    'publishes and subscriptions': async (stage) => {
      const [here, there] = await stage.openTwo();
      await leavesNothing(async () => {
        const subscription = await there.subscribe('room', () => undefined);
        await here.publish('room', 'x');
        await subscription.close();
      });
    },

    'readings of a history, and joins since a position, of more than one page': async (stage) => {
      const [here, there] = await stage.openTwo(HISTORY);
      if (!here.capabilities.history) return;
      const { position = '' } = await here.publish('kept.1', 'first');
      for (let n = 0; n < 40; n += 1) await here.publish('kept.1', 'x'.repeat(20_000));
      await leavesNothing(async () => {
        await there.history('kept.1', undefined, { last: 40, bytes: 10_000_000 });
        const subscription = await there.subscribe('kept.1', () => undefined, { since: position });
        await subscription.close();
        await here.publish('kept.2', 'x');
      });
    },

    'messages of channels, and receives that end with a signal or live beside one that never ends': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channels = [here.newChannel(), ...(here.capabilities.queues ? ['work'] : [])];
      const forever = new AbortController();
      const { signal } = forever;
      await leavesNothing(async () => {
        for (const channel of channels) {
          await there.send(channel, { n: 1 });
          await here.receive(channel, { signal });
          await receiveInVain(here, channel);
        }
        const short = here.newChannel();
        await there.send(short, { n: 2 });
        await next(here, short);
        await here.closeChannel(short);
      });
      assert.deepEqual(getEventListeners(signal, 'abort'), []);
    },

    'memberships, and what is sent to groups': async (stage) => {
      const [here, there] = await stage.openTwo();
      if (!here.capabilities.groups) return;
      const members = [here.newChannel(), ...(here.capabilities.queues ? ['work'] : [])];
      await leavesNothing(async () => {
        for (const member of members) await here.groupAdd('group', member);
        await there.groupSend('group', { n: 1 });
        for (const member of members) await next(here, member);
        for (const member of members) await here.groupDiscard('group', member);
      });
    },

    'what leases hold': async (stage) => {
      const [here, there] = await stage.openTwo();
      // A broker within this process remembers here, for its time, what was settled.
      if (here.capabilities.leases !== true || !here.capabilities.processes) return;
      const lease = await here.lease();
      await leavesNothing(async () => {
        await lease.hold('key', { channel: 'work', message: { n: 1 } });
        await lease.settle('key', { n: 2 });
        await next(there, 'work');
      });
      await lease.close();
    },
  },
};

/** No object, and no memory outside of the heap, stays of each time that this is done. */
async function leavesNothing(work: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < TIMES; n += 1) await work();
  let before = await look();
  let growth = before;
  for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
    for (let n = 0; n < TIMES; n += 1) await work();
    const now = await look();
    growth = { objects: now.objects - before.objects, bytes: now.bytes - before.bytes };
    if (growth.objects < TIMES && growth.bytes < TIMES * BYTES) return;
    before = now;
  }
  assert.fail(`each of ${TIMES} times leaves something: ${JSON.stringify(growth)}`);
}

/** Objects that live: promises and functions are some. What was ended goes in the turns that follow. */
async function look(): Promise<{ readonly objects: number; readonly bytes: number }> {
  for (let n = 0; n < 3; n += 1) await turn();
  const objects = queryObjects(Object, { format: 'count' });
  const { arrayBuffers } = process.memoryUsage();
  return { objects, bytes: arrayBuffers };
}

async function receiveInVain(layer: ChannelLayer, channel: string): Promise<void> {
  const stop = new AbortController();
  const received = layer.receive(channel, { signal: stop.signal });
  await turn();
  stop.abort();
  await assert.rejects(received);
}
