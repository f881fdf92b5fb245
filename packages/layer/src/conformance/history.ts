import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import type { Subscription } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { parsePosition } from '../position.ts';
import { Recorder, inTime, numbers, record } from './expect.ts';
import { Random } from './random.ts';
import type { Family } from './suite.ts';
import { withResolvers } from '../driver/resolvers.ts';

const KEPT = { history: [{ rooms: 'kept.>', size: 2000, ageMs: 60_000 }] } as const;

export const history: Family = {
  title: 'rooms with history',
  needs: 'history',
  tests: {
    'publish answers the position, and each live message carries it: one epoch, growing offsets': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorder = await record(there, 'kept.a');
      const positions: unknown[] = [];
      for (const payload of numbers(1, 20)) positions.push((await here.publish('kept.a', payload)).position);
      await recorder.count(20);
      assert.deepEqual(
        recorder.events.map((event) => event.position),
        positions,
      );
      assertGrowing(positions);
    },

    'bytes as they are, live and replayed': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const payloads = [
        Buffer.from('start'),
        new Uint8Array(0),
        Uint8Array.of(0, 10, 13, 255, 0xc0, 0x80),
        Buffer.from('a:1:2\n'),
        Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7) & 255),
      ];
      const live = await record(there, 'kept.bytes');
      const [first] = await publishAll(here, 'kept.bytes', payloads);
      const replayed = new Recorder();
      await there.subscribe('kept.bytes', replayed.listen, { since: first! });
      await live.count(payloads.length);
      await replayed.count(payloads.length - 1);
      for (const [index, payload] of payloads.entries()) {
        assert.ok(Buffer.from(live.events[index]!.payload!).equals(payload), `live payload ${index}`);
        if (index > 0) assert.ok(Buffer.from(replayed.events[index - 1]!.payload!).equals(payload), `replayed payload ${index}`);
      }
    },

    'subscribe answers the position it stands at, and everything after it follows': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const empty = await there.subscribe('kept.at', () => undefined);
      assert.ok(parsePosition(empty.position) !== undefined);
      const positions = await publishAll(here, 'kept.at', numbers(1, 3));
      const recorder = new Recorder();
      const subscription = await there.subscribe('kept.at', recorder.listen);
      const followed = await publishAll(here, 'kept.at', ['4']);
      await recorder.seen('4');
      assert.equal(subscription.recovered, undefined);
      assert.deepEqual(
        recorder.events.map((event) => event.position),
        [...positions, ...followed].slice(positions.indexOf(subscription.position!) + 1),
      );
    },

    'since first replays the history, then goes live, and recovered is true': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      for (const [room, layer] of [
        ['kept.own', here],
        ['kept.foreign', there],
      ] as const) {
        const positions = await publishAll(here, room, numbers(0, 9));
        const recorder = new Recorder();
        const subscription = await layer.subscribe(room, recorder.listen, { since: positions[3]! });
        assert.deepEqual([subscription.recovered, subscription.position], [true, positions.at(-1)]);
        assert.deepEqual(recorder.texts, numbers(4, 9));
        positions.push(...(await publishAll(here, room, ['live'])));
        await recorder.seen('live');
        assert.deepEqual(recorder.texts, [...numbers(4, 9), 'live']);
        assert.deepEqual(
          recorder.events.map((event) => event.position),
          positions.slice(4),
        );
      }
    },

    'a since that is the newest position replays nothing, and recovered is true': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const positions = await publishAll(here, 'kept.newest', numbers(0, 4));
      const recorder = new Recorder();
      const subscription = await there.subscribe('kept.newest', recorder.listen, { since: positions[4]! });
      assert.deepEqual([subscription.recovered, subscription.position], [true, positions[4]]);
      await here.publish('kept.newest', 'live');
      await recorder.seen('live');
      assert.deepEqual(recorder.texts, ['live']);
    },

    'a since of another epoch, or beyond the newest, or that is no position: recovered is false, and a gap before anything else': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const positions = await publishAll(here, 'kept.other', numbers(0, 4));
      const { epoch, offset } = parsePosition(positions[4])!;
      for (const since of ['another-epoch:1', `${epoch}:${offset + 1000}`, '', 'x', '1', `${epoch}:`, `${epoch}:-1`, `${epoch}:1.5`, ':1', `${epoch}:1\n`]) {
        const recorder = new Recorder();
        const subscription = await there.subscribe('kept.other', recorder.listen, { since });
        assert.equal(subscription.recovered, false, since);
        assert.deepEqual(recorder.texts, ['GAP'], since);
        assert.ok(parsePosition(subscription.position) !== undefined);
        await subscription.close();
      }
    },

    'trimmed by size: what is kept is replayed whole, and a since before it is a gap': async (stage) => {
      const [here, there] = await stage.openTwo({ history: [{ rooms: 'short', size: 10, ageMs: 60_000 }] });
      const positions = await publishAll(here, 'short', numbers(1, 25));
      const recorder = new Recorder();
      const kept = await there.subscribe('short', recorder.listen, { since: positions[14]! });
      assert.equal(kept.recovered, true);
      assert.deepEqual(recorder.texts, numbers(16, 25));
      const late = new Recorder();
      const lost = await there.subscribe('short', late.listen, { since: positions[13]! });
      assert.equal(lost.recovered, false);
      assert.equal(late.texts[0], 'GAP');
    },

    'trimmed by age: a since before what has expired is a gap, and what came after stays': async (stage) => {
      const ageMs = 600;
      const [here, there] = await stage.openTwo({ history: [{ rooms: 'brief', size: 100, ageMs }] });
      const old = await publishAll(here, 'brief', ['1', '2']);
      await delay(ageMs + 200);
      await inTime(ageMs, async (mark) => {
        mark();
        const young = await publishAll(here, 'brief', ['3', '4']);
        const late = new Recorder();
        assert.equal((await there.subscribe('brief', late.listen, { since: old[0]! })).recovered, false);
        assert.equal(late.texts[0], 'GAP');
        const recorder = new Recorder();
        assert.equal((await there.subscribe('brief', recorder.listen, { since: young[0]! })).recovered, true);
        assert.deepEqual(recorder.texts, ['4']);
      });
    },

    'the first rule that matches wins, and a room that none matches has no history': async (stage) => {
      const rules = [
        { rooms: 'a.b', size: 2, ageMs: 60_000 },
        { rooms: 'a.*', size: 5, ageMs: 60_000 },
        { rooms: 'z.>', size: 1, ageMs: 60_000 },
      ];
      const layer = await stage.open({ history: rules });
      for (const [room, size] of [
        ['a.b', 2],
        ['a.c', 5],
        ['z.y.x', 1],
      ] as const) {
        const positions = await publishAll(layer, room, numbers(1, 10));
        const inside = await layer.subscribe(room, () => undefined, { since: positions[9 - size]! });
        assert.equal(inside.recovered, true, room);
        if (size < 9) assert.equal((await layer.subscribe(room, () => undefined, { since: positions[8 - size]! })).recovered, false, room);
      }
      for (const room of ['a', 'a.b.c', 'z', 'b.a']) {
        assert.deepEqual(await layer.publish(room, 'x'), {}, room);
        assert.equal((await layer.subscribe(room, () => undefined)).position, undefined, room);
      }
    },

    'all subscribers see one order in every room with history': async (stage) => {
      const layers = [await stage.open(KEPT), await stage.open(KEPT), await stage.open(KEPT)];
      const recorders = await Promise.all(layers.map((layer) => record(layer, 'kept.order')));
      await Promise.all(Array.from({ length: 300 }, (_, n) => layers[n % 3]!.publish('kept.order', `${n}`)));
      for (const recorder of recorders) await recorder.count(300);
      for (const recorder of recorders) {
        assert.deepEqual(recorder.texts, recorders[0]!.texts);
        assertGrowing(recorder.events.map((event) => event.position));
        for (const publisher of [0, 1, 2]) {
          const own = recorder.texts.map(Number).filter((n) => n % 3 === publisher);
          assert.deepEqual(
            own,
            own.toSorted((a, b) => a - b),
          );
        }
      }
    },

    'since replays then goes live with neither gap nor duplicate, while two processes publish and at whatever moment it joins': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const joiner = await stage.open(KEPT);
      const reference = await record(here, 'kept.join');
      const [start] = await publishAll(here, 'kept.join', ['start']);
      const random = new Random(42);
      const joined: { readonly recorder: Recorder; readonly subscription: Subscription }[] = [];
      const publishing = [here, there].map(async (layer, publisher) => {
        const published: Promise<unknown>[] = [];
        for (let n = 0; n < 300; n += 1) {
          published.push(layer.publish('kept.join', `${publisher} ${n}`));
          if (random.below(4) === 0) await delay(random.below(3));
        }
        await Promise.all(published);
      });
      const joining = Array.from({ length: 24 }, async (_, index) => {
        await delay(random.below(150));
        const recorder = new Recorder();
        const layer = index % 3 === 0 ? here : joiner;
        const subscription = await layer.subscribe('kept.join', recorder.listen, index % 4 === 3 ? {} : { since: start! });
        if (index % 6 === 5) await subscription.close();
        else joined.push({ recorder, subscription });
      });
      await Promise.all([...publishing, ...joining]);
      await reference.count(601);
      assert.deepEqual(
        reference.texts.toSorted().slice(0, 600),
        numbers(0, 299)
          .flatMap((n) => [`0 ${n}`, `1 ${n}`])
          .toSorted(),
      );
      const log = reference.events.map((event) => event.position);
      for (const { recorder, subscription } of joined) {
        const whole = subscription.recovered === true ? log.slice(1) : log.slice(log.indexOf(subscription.position) + 1);
        await recorder.count(whole.length);
        assert.deepEqual(
          recorder.events.map((event) => event.position),
          whole,
        );
      }
    },

    'joins with since in quick cycles lose nothing: each goes on from where the last one stood': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const got: string[] = [];
      let [since] = await publishAll(here, 'kept.resume', ['start']);
      const publishing = publishAll(here, 'kept.resume', numbers(0, 299));
      while (got.at(-1) !== '299') {
        const { promise, resolve } = withResolvers<void>();
        const recorder = new Recorder(() => recorder.events.length >= 7 && resolve());
        const subscription = await there.subscribe('kept.resume', recorder.listen, { since: since! });
        assert.equal(subscription.recovered, true);
        if (got.length + recorder.events.length < 300) await Promise.race([promise, publishing]);
        await subscription.close();
        got.push(...recorder.texts);
        since = recorder.events.at(-1)?.position ?? since;
      }
      await publishing;
      assert.deepEqual(got, numbers(0, 299));
    },

    'a subscription made by a listener while it is called gets what comes after its position, and nothing twice': async (stage) => {
      const layer = await stage.open(KEPT);
      const inner = new Recorder();
      const { promise, resolve } = withResolvers<Subscription>();
      const outer = new Recorder((event) => {
        if (event.payload !== undefined && outer.events.length === 1) resolve(layer.subscribe('kept.inner', inner.listen));
      });
      await layer.subscribe('kept.inner', outer.listen);
      await publishAll(layer, 'kept.inner', numbers(1, 5));
      const subscription = await promise;
      await publishAll(layer, 'kept.inner', ['end']);
      await Promise.all([outer.seen('end'), inner.seen('end')]);
      const log = outer.events.map((event) => event.position);
      assert.deepEqual(
        inner.events.map((event) => event.position),
        log.slice(log.indexOf(subscription.position) + 1),
      );
    },

    'the history outlives who published it': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const [first] = await publishAll(there, 'kept.outlives', ['1', '2', '3']);
      await there.close();
      const recorder = new Recorder();
      assert.equal((await here.subscribe('kept.outlives', recorder.listen, { since: first! })).recovered, true);
      assert.deepEqual(recorder.texts, ['2', '3']);
    },

    'flush ends the history: a position from before it is a gap': async (stage) => {
      const layer = await stage.open(KEPT);
      const [first] = await publishAll(layer, 'kept.flushed', ['1', '2']);
      await layer.flush();
      await publishAll(layer, 'kept.flushed', ['3', '4', '5']);
      const recorder = new Recorder();
      assert.equal((await layer.subscribe('kept.flushed', recorder.listen, { since: first! })).recovered, false);
      assert.deepEqual(recorder.texts, ['GAP']);
    },

    'a position from after a flush is good, also in a process that has not heard of the flush': async (stage) => {
      const [here, there] = await stage.openTwo(KEPT);
      const recorder = await record(there, 'kept.unheard');
      await publishAll(here, 'kept.unheard', ['1', '2']);
      await recorder.seen('2');
      await here.flush();
      const { position } = await here.history('kept.unheard');
      const late = new Recorder();
      assert.equal((await there.subscribe('kept.unheard', late.listen, { since: position })).recovered, true);
      await publishAll(here, 'kept.unheard', ['3']);
      for (const one of [recorder, late]) await one.seen('3');
      assert.deepEqual(late.texts, ['3']);
      assert.equal(recorder.texts.at(-1), '3');
    },
  },
};

/** Publishes one after the other without waiting; resolves with the positions. */
async function publishAll(layer: ChannelLayer, room: string, payloads: readonly (string | Uint8Array)[]): Promise<(string | undefined)[]> {
  const published = await Promise.all(payloads.map((payload) => layer.publish(room, payload)));
  return published.map(({ position }) => position);
}

function assertGrowing(positions: readonly unknown[]): void {
  let last: { readonly epoch: string; readonly offset: number } | undefined;
  for (const text of positions) {
    const position = parsePosition(text);
    assert.ok(position !== undefined, `${String(text)} is no position`);
    if (last !== undefined) {
      assert.equal(position.epoch, last.epoch);
      assert.ok(position.offset > last.offset, `${position.offset} after ${last.offset}`);
    }
    last = position;
  }
}
