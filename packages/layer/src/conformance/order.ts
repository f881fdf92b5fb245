import assert from 'node:assert/strict';
import type { LayerOptions } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { parsePosition } from '../position.ts';
import { next, numbers, Recorder, record, soon, take } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

/** So many prefixes are begun, since what is made for the first call of each decides whether a later one can pass it. */
const ROUNDS = 8;
const CALLS = 12;
const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] };

export const order: Family = {
  title: 'calls that nobody awaits, the first under a new prefix',
  tests: {
    'what is published to a room arrives in the order of the calls': (stage) =>
      beginOften(stage, {}, async (here, there) => {
        const recorders = [await record(here, 'room'), await record(there, 'room')];
        await soon(Promise.all(each((n) => here.publish('room', `${n}`))), 'every publish');
        for (const recorder of recorders) {
          await recorder.count(CALLS);
          assert.deepEqual(recorder.texts, numbers(0, CALLS - 1));
        }
      }),

    "what is sent to a process's channel arrives in the order of the calls": (stage) =>
      beginOften(stage, {}, async (here, there) => {
        const channel = there.newChannel();
        await soon(Promise.all(each((n) => here.send(channel, { n }))), 'every send');
        assert.deepEqual(await take(there, channel, CALLS), expected());
      }),
  },
};

export const orderInQueues: Family = {
  title: 'calls that nobody awaits, the first under a new prefix: worker queues',
  needs: 'queues',
  tests: {
    'what is sent to a queue arrives in the order of the calls': (stage) =>
      beginOften(stage, {}, async (here, there) => {
        await soon(Promise.all(each((n) => here.send('work', { n }))), 'every send');
        assert.deepEqual(await take(there, 'work', CALLS), expected());
      }),

    'also where they are made one a turn, while the first ones wait': (stage) =>
      beginOften(stage, {}, async (here, there) => {
        const sending: Promise<void>[] = [];
        for (let n = 0; n < CALLS; n += 1) {
          sending.push(here.send('work', { n }));
          await new Promise(setImmediate);
        }
        await soon(Promise.all(sending), 'every send');
        assert.deepEqual(await take(there, 'work', CALLS), expected());
      }),

    'what is sent to several queues arrives in each in the order of the calls': (stage) =>
      beginOften(stage, {}, async (here, there) => {
        const names = ['one', 'two', 'three'];
        await soon(Promise.all(each((n) => Promise.all(names.map((name) => here.send(name, { n }))))), 'every send');
        for (const name of names) assert.deepEqual(await take(there, name, CALLS), expected());
      }),

    'a queue that is added to a group and discarded from it is what the last call said': (stage) =>
      beginOften(stage, {}, async (here) => {
        if (!here.capabilities.groups) return;
        const calls = [here.groupAdd('group', 'in'), here.groupDiscard('group', 'in'), here.groupAdd('group', 'in')];
        calls.push(here.groupAdd('group', 'out'), here.groupDiscard('group', 'out'));
        await soon(Promise.all(calls), 'every change');
        await here.groupSend('group', { n: 1 });
        await here.send('out', { n: 2 });
        assert.deepEqual([await next(here, 'in'), await next(here, 'out')], [{ n: 1 }, { n: 2 }]);
      }),

    'what is sent to a group arrives in a queue that is its member in the order of the calls': (stage) =>
      beginOften(stage, {}, async (here, there) => {
        if (!here.capabilities.groups) return;
        await here.groupAdd('group', 'work');
        await soon(Promise.all(each((n) => here.groupSend('group', { n }))), 'every send');
        assert.deepEqual(await take(there, 'work', CALLS), expected());
      }),
  },
};

export const orderInHistories: Family = {
  title: 'calls that nobody awaits, the first under a new prefix: rooms with history',
  needs: 'history',
  tests: {
    'positions are in the order of the calls, and so is what is read from the history': (stage) =>
      beginOften(stage, HISTORY, async (here, there) => {
        const published = await soon(Promise.all(each((n) => here.publish('kept.1', `${n}`))), 'every publish');
        const offsets = published.map(({ position }) => parsePosition(position)?.offset ?? 0);
        assert.deepEqual(
          offsets,
          offsets.toSorted((a, b) => a - b),
        );
        const replayed = new Recorder();
        const { recovered } = await there.subscribe('kept.1', replayed.listen, { since: published[0]?.position ?? '' });
        assert.equal(recovered, true);
        assert.deepEqual(replayed.texts, numbers(1, CALLS - 1));
      }),

    'also where they are made one a turn, while the first ones wait, and somebody listens': (stage) =>
      beginOften(stage, HISTORY, async (here, there) => {
        const recording = record(there, 'kept.1');
        const publishing: Promise<unknown>[] = [];
        for (let n = 0; n < CALLS; n += 1) {
          publishing.push(here.publish('kept.1', `${n}`));
          await new Promise(setImmediate);
        }
        await soon(Promise.all(publishing), 'every publish');
        const recorder = await recording;
        await here.publish('kept.1', `${CALLS}`);
        await recorder.seen(`${CALLS}`);
        // It may have come to listen when some had been published.
        assert.deepEqual(recorder.texts, numbers(0, CALLS).slice(-recorder.texts.length));
      }),
  },
};

/** Runs `body` with two layers under a prefix that nobody has used. */
async function beginOften(stage: Stage, options: LayerOptions, body: (here: ChannelLayer, there: ChannelLayer) => Promise<void>): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const [here, there] = await stage.openTwo({ ...options, prefix: `${stage.prefix}-${round}` });
    await body(here, there);
  }
}

function each<T>(call: (n: number) => Promise<T>): Promise<T>[] {
  return Array.from({ length: CALLS }, (_, n) => call(n));
}

function expected(): { n: number }[] {
  return Array.from({ length: CALLS }, (_, n) => ({ n }));
}
