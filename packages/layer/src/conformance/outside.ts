import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { next, until } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const UNREADABLE: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(0xff, 0xfe),
  Buffer.from('hello'),
  Buffer.from('{"channel":'),
  Buffer.from('[]'),
  Buffer.from('null'),
  Buffer.from('"text"'),
  Buffer.from('{"type":"websocket.send","text":"no channel"}'),
  Buffer.from('{"channel":7,"text":"no name"}'),
];

export const outside: Family = {
  title: 'programs with nothing but the broker and its client',
  tests: {
    'replyTopic: {"channel":"<reply_channel>","type":…} published there by any program reaches that channel': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      await publish(stage, layer.replyTopic, `{"channel":"${channel}","type":"websocket.send","text":"hi","bytes":{"$bytes":"AP8="},"n":[1,{"a":null}]}`);
      assert.deepEqual(await next(layer, channel), { type: 'websocket.send', text: 'hi', bytes: Uint8Array.of(0, 255), n: [1, { a: null }] });
      await publish(stage, layer.replyTopic, ` {"type" : "second",\n"channel" : ${JSON.stringify(channel)} } `);
      assert.deepEqual(await next(layer, channel), { type: 'second' });
    },

    'a payload that cannot be read is counted and skipped, never fatal': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      for (const payload of UNREADABLE) await publish(stage, layer.replyTopic, payload);
      await publish(stage, layer.replyTopic, `{"channel":"${channel}","type":"end"}`);
      assert.deepEqual(await next(layer, channel), { type: 'end' });
      await until(() => layer.stats.undecodable === UNREADABLE.length, `${UNREADABLE.length} are counted`);
    },

    'a message for a channel that is not open here disturbs nobody': async (stage) => {
      const [layer, other] = await stage.openTwo();
      const [channel, closed] = [layer.newChannel(), layer.newChannel()];
      await layer.closeChannel(closed);
      for (const absent of [closed, other.newChannel(), 'work', 'no!name', '__proto__', '']) {
        await publish(stage, layer.replyTopic, JSON.stringify({ channel: absent, type: 'lost' }));
      }
      await publish(stage, layer.replyTopic, `{"channel":"${channel}","type":"end"}`);
      assert.deepEqual(await next(layer, channel), { type: 'end' });
    },
  },
};

async function publish(stage: Stage, topicName: string, payload: string | Uint8Array): Promise<void> {
  await stage.subject.publishRaw?.(topicName, typeof payload === 'string' ? Buffer.from(payload) : payload);
}
