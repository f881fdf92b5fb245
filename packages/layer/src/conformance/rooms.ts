import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { Subscription } from '../contract.ts';
import { Recorder, numbers, record, rejects } from './expect.ts';
import { allowed } from './name-rules.ts';
import type { Family } from './suite.ts';

const PAYLOADS: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(0),
  Uint8Array.of(1),
  Uint8Array.from({ length: 256 }, (_, index) => index),
  Uint8Array.of(0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80),
  Buffer.from('line\r\nline\n\n\u2028 \u{1f600} "quoted" \\'),
  Buffer.from('0:1:2\n'),
  new Uint8Array(65_536).fill(7),
  Uint8Array.from({ length: 1_048_576 }, (_, index) => (index * 31) & 255),
];

export const rooms: Family = {
  title: 'rooms',
  tests: {
    'publish: bytes as they are, to each subscriber in every process, the publisher included': async (stage) => {
      const [here, there] = await stage.openTwo();
      const recorders = [new Recorder(), new Recorder()];
      await here.subscribe('bytes', recorders[0]!.listen);
      await there.subscribe('bytes', recorders[1]!.listen);
      for (const payload of PAYLOADS) await here.publish('bytes', payload);
      for (const recorder of recorders) {
        await recorder.count(PAYLOADS.length);
        for (const [index, payload] of PAYLOADS.entries()) {
          const got = recorder.events[index]?.payload;
          assert.ok(got !== undefined && Buffer.from(got).equals(payload), `payload ${index} of ${payload.length} bytes`);
        }
      }
    },

    'publish: a string is its UTF-8, with U+FFFD for lone surrogates': async (stage) => {
      const layer = await stage.open();
      const recorder = new Recorder();
      await layer.subscribe('text', recorder.listen);
      const sent = ['', 'hello', 'a\u0000b', '\u{1f600}\u2028\u2029\ufeff', '\ud83d', 'x\udc00y', 'é'.normalize('NFD')];
      for (const payload of sent) await layer.publish('text', payload);
      await recorder.count(sent.length);
      assert.deepEqual(recorder.texts, ['', 'hello', 'a\u0000b', '\u{1f600}\u2028\u2029\ufeff', '\ufffd', 'x\ufffdy', 'é'.normalize('NFD')]);
    },

    'publish takes the bytes at the call: a change made afterwards changes nothing': async (stage) => {
      const [here, there] = await stage.openTwo();
      const recorder = new Recorder();
      await there.subscribe('mutable', recorder.listen);
      for (const payload of [Buffer.from('before'), new Uint8Array(Buffer.from('before'))]) {
        const published = here.publish('mutable', payload);
        payload.fill(0);
        await published;
      }
      await recorder.count(2);
      assert.deepEqual(recorder.texts, ['before', 'before']);
    },

    "Each publisher's order holds everywhere; where roomOrder is total all subscribers see one order": async (stage) => {
      const layers = [await stage.open(), await stage.open(), await stage.open()];
      const recorders = await Promise.all(layers.map((layer) => record(layer, 'order')));
      const published: Promise<unknown>[] = [];
      for (let index = 0; index < 200; index += 1) {
        for (const [publisher, layer] of layers.entries()) published.push(layer.publish('order', `${publisher} ${index}`));
        if (index % 20 === 0) await Promise.all(published);
      }
      await Promise.all(published);
      for (const recorder of recorders) {
        await recorder.count(600);
        for (const publisher of layers.keys()) {
          const own = recorder.texts.filter((line) => line.startsWith(`${publisher} `)).map((line) => line.split(' ')[1]);
          assert.deepEqual(own, numbers(0, 199));
        }
      }
      if (layers[0]!.capabilities.roomOrder === 'publisher') return;
      for (const recorder of recorders) assert.deepEqual(recorder.texts, recorders[0]!.texts);
    },

    'a room of another name gets nothing, also where names share a beginning': async (stage) => {
      const [here, there] = await stage.openTwo();
      const names = allowed(here, ['chat', 'chat1', 'Chat', 'chat.1', 'chat.1.2', 'chat:1', 'chat-1', 'chat_1', 'chat@1', '1']);
      const recorders = await Promise.all(names.map((name) => record(there, name)));
      for (const name of names) await here.publish(name, name);
      for (const [index, recorder] of recorders.entries()) {
        await recorder.seen(names[index]!);
        await here.publish(names[index]!, 'end');
        await recorder.seen('end');
        assert.deepEqual(recorder.texts, [names[index], 'end']);
      }
    },

    'publish to a room that nobody is in is no error, and nothing of it arrives later': async (stage) => {
      const layer = await stage.open();
      assert.deepEqual(await layer.publish('nobody', 'lost'), {});
      const recorder = await record(layer, 'nobody');
      await layer.publish('nobody', 'later');
      await recorder.seen('later');
      assert.deepEqual(recorder.texts.at(-1), 'later');
    },

    'subscribe resolved once in effect (confirmed by the broker): what another process publishes from then on arrives': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (let index = 0; index < 50; index += 1) {
        const recorder = await record(here, `quick.${index}`);
        await there.publish(`quick.${index}`, 'first');
        await recorder.seen('first');
        assert.deepEqual(recorder.texts, ['first']);
      }
    },

    'subscribe and close in quick cycles lose nothing': async (stage) => {
      const [here, there] = await stage.openTwo();
      const standing = await record(here, 'cycles');
      let last: Subscription | undefined;
      for (let index = 0; index < 100; index += 1) {
        const recorder = new Recorder();
        const next = here.subscribe('cycles', recorder.listen);
        const closed = last?.close();
        last = await next;
        await there.publish('cycles', `${index}`);
        await recorder.seen(`${index}`);
        await closed;
      }
      assert.deepEqual(standing.texts, numbers(0, 99));
    },

    'a room that was left and joined again at once by its only listener is heard': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (let index = 0; index < 50; index += 1) {
        const recorder = new Recorder();
        const subscriptions = await Promise.all([here.subscribe('return', recorder.listen), here.subscribe('return', () => undefined)]);
        void subscriptions[1].close();
        await there.publish('return', 'heard');
        await recorder.seen('heard');
        void subscriptions[0].close();
      }
    },

    'two listeners of one room both get every message; when one closes the other goes on': async (stage) => {
      const [here, there] = await stage.openTwo();
      const stays = new Recorder();
      const leaves = new Recorder();
      await here.subscribe('both', stays.listen);
      const subscription = await here.subscribe('both', leaves.listen);
      await there.publish('both', '1');
      await Promise.all([stays.seen('1'), leaves.seen('1')]);
      await subscription.close();
      await there.publish('both', '2');
      await stays.seen('2');
      assert.deepEqual([stays.texts, leaves.texts], [['1', '2'], ['1']]);
    },

    'one listener given twice is two subscriptions': async (stage) => {
      const layer = await stage.open();
      const recorder = new Recorder();
      const first = await layer.subscribe('twice', recorder.listen);
      await layer.subscribe('twice', recorder.listen);
      await layer.publish('twice', 'a');
      await recorder.count(2);
      await first.close();
      await layer.publish('twice', 'b');
      await recorder.seen('b');
      assert.deepEqual(recorder.texts, ['a', 'a', 'b']);
    },

    'a listener that throws stops nothing': async (stage) => {
      const layer = await stage.open();
      const recorder = new Recorder();
      await layer.subscribe('throws', () => {
        throw new Error('of the listener');
      });
      await layer.subscribe('throws', recorder.listen);
      for (const payload of numbers(1, 5)) await layer.publish('throws', payload);
      await recorder.count(5);
      assert.deepEqual(recorder.texts, numbers(1, 5));
    },

    'a listener that publishes is never re-entered, and order holds': async (stage) => {
      const layer = await stage.open();
      let inside = 0;
      const published: Promise<unknown>[] = [];
      const echoing = new Recorder((event) => {
        assert.equal(inside, 0);
        inside += 1;
        const number = Number(Buffer.from(event.payload ?? []).toString());
        if (number <= 20) published.push(layer.publish('echo', `${number * 100}`));
        inside -= 1;
      });
      const other = new Recorder();
      await layer.subscribe('echo', echoing.listen);
      await layer.subscribe('echo', other.listen);
      for (const payload of numbers(1, 20)) published.push(layer.publish('echo', payload));
      await Promise.all([echoing.count(40), other.count(40)]);
      await Promise.all(published);
      assert.deepEqual(other.texts, echoing.texts);
      assert.deepEqual(
        other.texts.filter((line) => Number(line) <= 20),
        numbers(1, 20),
      );
      assert.deepEqual(
        other.texts.filter((line) => Number(line) > 20),
        numbers(1, 20).map((line) => `${line}00`),
      );
    },

    'close of a subscription: the listener is not called again from this call on, and twice is no error': async (stage) => {
      const layer = await stage.open();
      const stays = await record(layer, 'leave');
      const closing: Promise<void>[] = [];
      const leaves = new Recorder(() => {
        if (leaves.events.length === 10) closing.push(subscription.close());
      });
      const subscription = await layer.subscribe('leave', leaves.listen);
      await Promise.all(numbers(1, 50).map((payload) => layer.publish('leave', payload)));
      await stays.count(50);
      await Promise.all([...closing, subscription.close(), subscription.close()]);
      assert.deepEqual(leaves.texts, numbers(1, 10));
    },

    'without history position and recovered are absent': async (stage) => {
      const layer = await stage.open();
      const recorder = new Recorder();
      const subscription = await layer.subscribe('plain', recorder.listen);
      assert.deepEqual(await layer.publish('plain', 'x'), {});
      await recorder.count(1);
      assert.deepEqual(Object.keys(subscription), ['close']);
      assert.deepEqual(Object.keys(recorder.events[0]!), ['payload']);
    },

    'without history a since is answered by recovered: false and a gap': async (stage) => {
      const layer = await stage.open();
      for (const since of ['e:1', '', 'no position']) {
        const recorder = new Recorder();
        const subscription = await layer.subscribe('plain', recorder.listen, { since });
        assert.equal(subscription.recovered, false);
        assert.equal(subscription.position, undefined);
        await layer.publish('plain', 'live');
        await recorder.seen('live');
        assert.deepEqual(recorder.texts, ['GAP', 'live']);
        await subscription.close();
      }
    },

    'a payload that is neither string nor Uint8Array is INVALID_MESSAGE': async (stage) => {
      const layer = await stage.open();
      for (const payload of [undefined, null, 7, {}, [1], new ArrayBuffer(2), new Uint16Array(2)]) {
        await rejects(layer.publish('kinds', payload as string), 'INVALID_MESSAGE');
      }
    },

    'a payload of exactly the limit passes, one byte more is MESSAGE_TOO_LARGE naming both sizes': async (stage) => {
      const layer = await stage.open({ maxMessageBytes: 1000 });
      const recorder = await record(layer, 'limit');
      await layer.publish('limit', new Uint8Array(1000));
      await rejects(layer.publish('limit', new Uint8Array(1001)), 'MESSAGE_TOO_LARGE', '1001', '1000');
      await layer.publish('limit', 'é'.repeat(500));
      await rejects(layer.publish('limit', `${'é'.repeat(500)}.`), 'MESSAGE_TOO_LARGE', '1001', '1000');
      await layer.publish('limit', 'end');
      await recorder.seen('end');
      assert.deepEqual(
        recorder.events.map((event) => event.payload?.length),
        [1000, 1000, 3],
      );
    },
  },
};
