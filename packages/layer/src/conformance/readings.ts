import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { HistoryReading } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { parsePosition } from '../position.ts';
import { Recorder, numbers, record, rejects } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const KEPT = { history: [{ rooms: 'kept.>', size: 2000, ageMs: 60_000 }] } as const;

export const readings: Family = {
  title: 'readings of a history',
  needs: 'history',
  tests: {
    'what followed since, oldest first, up to where the room stands': (stage) =>
      fromHereAndThere(stage, async (layer, room, positions) => {
        const reading = await layer.history(room, positions[3]);
        assert.deepEqual(textsOf(reading), numbers(4, 9));
        assert.deepEqual(
          reading.messages.map(({ position }) => position),
          positions.slice(4),
        );
        assert.deepEqual([reading.position, reading.recovered, reading.more], [positions[9], true, false]);
        const none = await layer.history(room, positions[9]);
        assert.deepEqual([none.messages, none.position, none.recovered, none.more], [[], positions[9], true, false]);
      }),

    'limit and bytes bound it, and it goes on where it ended, to the last message': (stage) =>
      fromHereAndThere(stage, async (layer, room, positions) => {
        for (const [limits, sizes] of [
          [{ limit: 4 }, [4, 4, 1]],
          [{ bytes: 3 }, [3, 3, 3]],
          [{ limit: 5, bytes: 2 }, [2, 2, 2, 2, 1]],
          [{ bytes: 1 }, Array.from({ length: 9 }, () => 1)],
        ] as const) {
          const got: string[] = [];
          let reading: HistoryReading | undefined;
          for (const size of sizes) {
            reading = await layer.history(room, reading?.position ?? positions[0], limits);
            assert.equal(reading.messages.length, size);
            assert.equal(reading.position, reading.messages.at(-1)?.position);
            got.push(...textsOf(reading));
            assert.equal(reading.more, got.length < 9);
          }
          assert.deepEqual(got, numbers(1, 9));
        }
      }),

    'last: the newest so many, oldest first, as far as there are and the limits go': (stage) =>
      fromHereAndThere(stage, async (layer, room, positions) => {
        for (const [options, texts] of [
          [{ last: 3 }, numbers(7, 9)],
          [{ last: 1000 }, numbers(0, 9)],
          [{ last: 5, limit: 2 }, numbers(8, 9)],
          [{ last: 5, bytes: 3 }, numbers(7, 9)],
          [{ last: 0 }, []],
          [{}, []],
        ] as const) {
          const reading = await layer.history(room, undefined, options);
          assert.deepEqual(textsOf(reading), texts);
          assert.deepEqual([reading.position, reading.recovered, reading.more], [positions[9], undefined, false]);
        }
        assert.deepEqual(textsOf(await layer.history(room, positions[6], { last: 1 })), numbers(7, 9), 'since wins over last');
      }),

    'a room between others has its own messages alone': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      for (let n = 0; n < 30; n += 1) await here.publish(n % 10 === 0 ? 'kept.seldom' : 'kept.often', `${n}`);
      for (const layer of [here, there]) assert.deepEqual(textsOf(await layer.history('kept.seldom', undefined, { last: 2 })), ['10', '20']);
    },

    'where a room stands that nobody has published to is a position, and what follows it comes': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const empty = await there.history('kept.empty');
      assert.ok(parsePosition(empty.position) !== undefined);
      assert.deepEqual([empty.messages, empty.more], [[], false]);
      await here.publish('kept.empty', 'first');
      const reading = await there.history('kept.empty', empty.position);
      assert.deepEqual([textsOf(reading), reading.recovered], [['first'], true]);
    },

    'a since that is too old, of another epoch, beyond the newest or no position: recovered is false, and what is still kept follows': async (stage) => {
      const [here, there] = await stage.openTwo({ history: [{ rooms: 'short', size: 5, ageMs: 60_000 }] });
      const positions = await publishAll(here, 'short', numbers(0, 9));
      const { epoch, offset } = parsePosition(positions[9])!;
      const held = await record(here, 'short');
      for (const layer of [here, there]) {
        for (const since of [positions[2]!, 'another-epoch:1', `${epoch}:${offset + 1000}`, 'none', '']) {
          const reading = await layer.history('short', since);
          assert.deepEqual([textsOf(reading), reading.recovered, reading.position], [numbers(5, 9), false, positions[9]], since);
        }
        assert.equal((await layer.history('short', positions[4]!)).recovered, true);
        const begun = await layer.history('short', positions[0]!, { limit: 2 });
        assert.deepEqual([textsOf(begun), begun.recovered, begun.more], [numbers(5, 6), false, true]);
      }
      assert.deepEqual(held.texts, []);
    },

    'a subscription since its position misses nothing and doubles nothing, while others publish': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const publishing = publishAll(here, 'kept.both', numbers(0, 199));
      const read = await there.history('kept.both', undefined, { last: 1000 });
      const recorder = new Recorder();
      await there.subscribe('kept.both', recorder.listen, { since: read.position });
      await publishing;
      await here.publish('kept.both', 'end');
      await recorder.seen('end');
      assert.deepEqual([...textsOf(read), ...recorder.texts], [...numbers(0, 199), 'end']);
    },

    'many at once, each from a position of its own, where the room is held and where it is not': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const positions = await publishAll(here, 'kept.many', numbers(0, 99));
      await record(here, 'kept.many');
      for (const layer of [here, there]) {
        const read = await Promise.all(Array.from({ length: 300 }, (_, index) => layer.history('kept.many', positions[index % 100]!)));
        for (const [index, reading] of read.entries()) {
          assert.deepEqual([textsOf(reading), reading.recovered], [numbers((index % 100) + 1, 99), true]);
        }
      }
    },

    'many rooms at once: each its own, with no hole between, also while what is old is let go of': async (stage) => {
      const [here, there] = await stage.openTwo({ history: [{ rooms: 'short.>', size: 8, ageMs: 60_000 }] });
      const rooms = Array.from({ length: 60 }, (_, index) => `short.${index}`);
      const publish = (texts: readonly string[]): Promise<string[][]> => Promise.all(rooms.map((room) => publishAll(here, room, texts)));
      const positions = await publish(numbers(0, 9));
      const read = (): Promise<HistoryReading[]> => Promise.all(rooms.map((room, index) => there.history(room, positions[index]?.[3])));
      for (const reading of await read()) assert.deepEqual([textsOf(reading), reading.recovered], [numbers(4, 9), true]);
      const [readings] = await Promise.all([read(), publish(numbers(10, 14))]);
      for (const { messages, recovered } of readings) {
        const texts = textsOf({ messages });
        const first = Number(texts[0]);
        assert.deepEqual(
          texts,
          texts.map((_, index) => `${first + index}`),
        );
        assert.ok(recovered === false || first === 4, `recovered from ${first} on`);
      }
    },

    'a purge lets go of what is kept, here and there: positions go on, and who was in the room notices nothing': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorders = [await record(here, 'kept.purged'), await record(there, 'kept.purged')];
      const positions = await publishAll(here, 'kept.purged', numbers(0, 9));
      await Promise.all(recorders.map((recorder) => recorder.count(10)));
      await publishAll(here, 'kept.other', ['stays']);
      await there.purge('kept.purged');
      const { epoch, offset } = parsePosition(positions[9])!;
      const after = parsePosition((await here.publish('kept.purged', 'next')).position)!;
      assert.deepEqual([after.epoch, after.offset > offset], [epoch, true]);
      await Promise.all(recorders.map((recorder) => recorder.seen('next')));
      for (const layer of [here, there]) {
        const reading = await layer.history('kept.purged', positions[3]);
        assert.deepEqual([textsOf(reading), reading.recovered], [['next'], false]);
        assert.deepEqual(textsOf(await layer.history('kept.purged', positions[9])), ['next']);
        assert.deepEqual(textsOf(await layer.history('kept.other', undefined, { last: 9 })), ['stays']);
      }
      for (const recorder of recorders) assert.deepEqual(recorder.texts, [...numbers(0, 9), 'next']);
      await rejects(here.purge('live'), 'UNSUPPORTED', 'live');
    },

    'what was let go of is missed by whoever had not read it, also where other rooms keep what is older, and by nobody else': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      await publishAll(here, 'kept.old', ['stays']);
      const { position: quiet } = await here.history('kept.quiet');
      const positions = await publishAll(here, 'kept.purged', numbers(0, 4));
      await there.purge('kept.purged');
      const after = await publishAll(here, 'kept.purged', numbers(5, 7));
      await publishAll(here, 'kept.quiet', numbers(0, 2));
      for (const layer of [here, there]) {
        for (const [since, expected, recovered] of [
          [positions[0], numbers(5, 7), false],
          [positions[3], numbers(5, 7), false],
          [positions[4], numbers(5, 7), true],
          [after[0], numbers(6, 7), true],
        ] as const) {
          const reading = await layer.history('kept.purged', since);
          assert.deepEqual([textsOf(reading), reading.recovered], [expected, recovered], since);
        }
        const reading = await layer.history('kept.quiet', quiet);
        assert.deepEqual([textsOf(reading), reading.recovered], [numbers(0, 2), true]);
      }
      await there.purge('kept.purged');
      await there.purge('kept.purged');
      await publishAll(here, 'kept.purged', numbers(8, 10));
      for (const [since, recovered] of [
        [positions[4], false],
        [after[1], false],
        [after[2], true],
      ] as const) {
        const reading = await here.history('kept.purged', since);
        assert.deepEqual([textsOf(reading), reading.recovered], [numbers(8, 10), recovered], since);
      }
    },

    'what is let go of while it is read leaves no hole: whatever is read goes on up to where it says that the room stands': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      for (let round = 0; round < 8; round += 1) {
        const room = `kept.hole.${round}`;
        const positions = await publishAll(here, room, numbers(0, 14));
        // A reading is under way when the purge comes, at one moment or another.
        const readings = positions.map(async (since, index) => [index, await there.history(room, since)] as const);
        for (let turn = 0; turn < round; turn += 1) await there.history(`kept.other.${turn}`);
        await here.purge(room);
        for (const [index, reading] of await Promise.all(readings)) {
          const texts = textsOf(reading);
          assert.deepEqual(texts, numbers(15 - texts.length, 14), `after ${index}`);
          assert.equal(reading.position, positions[14]);
          assert.ok(reading.recovered === false || texts.length === 14 - index, `after ${index} came ${texts.length}`);
        }
      }
    },

    'a room that keeps no history is UNSUPPORTED, naming it; limits that are none INVALID_OPTION': async (stage) => {
      const layer = await stage.open(KEPT);
      await rejects(layer.history('live'), 'UNSUPPORTED', 'live');
      for (const options of [{ limit: 0 }, { limit: 1001 }, { bytes: 0 }, { last: -1 }, { last: 1001 }, { last: 1.5 }]) {
        await rejects(layer.history('kept.a', undefined, options), 'INVALID_OPTION');
      }
    },
  },
};

/** Of a room of ten messages, `0` to `9`: by a process that listens to it, and by one that does not. */
async function fromHereAndThere(stage: Stage, body: (layer: ChannelLayer, room: string, positions: readonly string[]) => Promise<void>): Promise<void> {
  const [here, there] = await stage.openTwo(KEPT);
  const recorder = await record(here, 'kept.ten');
  const positions = await publishAll(there, 'kept.ten', numbers(0, 9));
  await recorder.count(10);
  for (const layer of [here, there]) await body(layer, 'kept.ten', positions);
}

async function publishAll(layer: ChannelLayer, room: string, payloads: readonly string[]): Promise<string[]> {
  const published = await Promise.all(payloads.map((payload) => layer.publish(room, payload)));
  return published.map(({ position }) => position ?? '');
}

function textsOf({ messages }: Pick<HistoryReading, 'messages'>): string[] {
  return messages.map(({ payload }) => Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
}
