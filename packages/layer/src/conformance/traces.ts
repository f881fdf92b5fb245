import assert from 'node:assert/strict';
import { record, rejects } from './expect.ts';
import type { Family } from './suite.ts';

const TRACED = { traces: true, history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] } as const;
const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const OTHER = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00`;

export const traces: Family = {
  title: 'traces of messages',
  needs: 'traces',
  tests: {
    'what a publish says of its trace each subscriber in every process is told, of that message alone': async (stage) => {
      const [here, there] = await stage.openTwo(TRACED);
      for (const room of ['live', 'kept.a']) {
        const recorders = [await record(here, room), await record(there, room)];
        await here.publish(room, 'plain');
        await here.publish(room, 'traced', { traceparent: TRACE });
        await there.publish(room, 'other', { traceparent: OTHER });
        await there.publish(room, 'end');
        for (const recorder of recorders) {
          await recorder.seen('end');
          const told = new Map(recorder.events.map(({ traceparent }, index) => [recorder.texts[index], traceparent]));
          assert.deepEqual(
            told,
            new Map([
              ['end', undefined],
              ['other', OTHER],
              ['plain', undefined],
              ['traced', TRACE],
            ]),
          );
        }
      }
    },

    'with an id too, and only the first time': async (stage) => {
      const layer = await stage.open(TRACED);
      if (layer.capabilities.publishIds !== true) return;
      const recorder = await record(layer, 'kept.b');
      for (const traceparent of [TRACE, OTHER]) await layer.publish('kept.b', 'once', { id: 'key', traceparent });
      await layer.publish('kept.b', 'end');
      await recorder.seen('end');
      assert.deepEqual(
        recorder.events.map(({ traceparent }) => traceparent),
        [TRACE, undefined],
      );
    },

    'a history does not keep it: who comes later is told none': async (stage) => {
      const [here, there] = await stage.openTwo(TRACED);
      const recorder = await record(here, 'kept.c');
      const { position = '' } = await here.publish('kept.c', 'before');
      await here.publish('kept.c', 'traced', { traceparent: TRACE });
      await recorder.seen('traced');
      for (const layer of [here, there]) {
        const { messages } = await layer.history('kept.c', position);
        assert.deepEqual(
          messages.map(({ payload, traceparent }) => [Buffer.from(payload).toString(), traceparent]),
          [['traced', undefined]],
        );
      }
    },

    'what is none of version 00 is INVALID_OPTION, and nothing is published': async (stage) => {
      const layer = await stage.open(TRACED);
      const recorder = await record(layer, 'live');
      for (const traceparent of ['', 'x', TRACE.toUpperCase(), `${TRACE}\r\nx: y`, TRACE.replace('00', '01'), `${TRACE}-more`]) {
        await rejects(layer.publish('live', 'x', { traceparent }), 'INVALID_OPTION', 'traceparent');
      }
      await layer.publish('live', 'end');
      await recorder.seen('end');
      assert.deepEqual(recorder.texts, ['end']);
    },
  },
};
