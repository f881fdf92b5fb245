import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { isLayerError } from '../errors.ts';
import type { ChannelLayer } from '../layer.ts';
import { next, record, rejects, soon } from './expect.ts';
import type { Family } from './suite.ts';
import { assertUnsupported } from './unsupported.ts';

export const prefixes: Family = {
  title: 'prefixes and flush',
  tests: {
    'layers with different prefixes do not see each other, also where one prefix begins with the other': async (stage) => {
      const layer = await stage.open();
      const others = await Promise.all(['2', '-room', '_'].map((more) => stage.open({ prefix: `${stage.prefix}${more}` })));
      const recorder = await record(layer, 'room');
      const channel = layer.newChannel();
      if (layer.capabilities.groups) await layer.groupAdd('group', channel);
      for (const other of others) {
        await other.publish('room', 'foreign');
        if (layer.capabilities.groups) await other.groupSend('group', { foreign: true });
        if (layer.capabilities.queues) await other.send('work', { foreign: true });
      }
      await layer.publish('room', 'own');
      await recorder.seen('own');
      assert.deepEqual(recorder.texts, ['own']);
      if (layer.capabilities.groups) {
        await layer.groupSend('group', { own: true });
        assert.deepEqual(await next(layer, channel), { own: true });
      }
      if (layer.capabilities.queues) {
        await layer.send('work', { own: true });
        assert.deepEqual(await next(layer, 'work'), { own: true });
      }
    },

    'a prefix that is not one level of letters, digits, _ and - is INVALID_NAME': async (stage) => {
      for (const prefix of ['', 'a.b', 'a:b', 'a b', '*', '>', 'a!', 'é', '{a}', 'a@b', 'x'.repeat(101)]) {
        await rejects(stage.open({ prefix }), 'INVALID_NAME');
      }
    },

    'flush: no message is left, in the broker and in every process, and the layer works on': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 1 });
      const [own, foreign] = [here.newChannel(), there.newChannel()];
      await here.send(own, { before: true });
      await there.send(foreign, { before: true });
      if (here.capabilities.queues) await here.send('work', { before: true });
      await here.flush();
      await emptied(there, foreign);
      assert.deepEqual(await next(there, foreign), { after: true });
      for (const channel of [own, ...(here.capabilities.queues ? ['work'] : [])]) {
        await here.send(channel, { after: true });
        assert.deepEqual(await next(here, channel), { after: true });
      }
    },

    'flush: no membership is left, in the broker and in every process': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 1 });
      if (!here.capabilities.groups) return assertUnsupported(stage, 'groups');
      const channels = [here.newChannel(), there.newChannel()] as const;
      await here.groupAdd('group', channels[0]);
      await here.groupAdd('group', channels[1]);
      if (here.capabilities.queues) await here.groupAdd('group', 'work');
      await there.send(channels[1], { before: true });
      await here.flush();
      await emptied(there, channels[1]);
      assert.deepEqual(await next(there, channels[1]), { after: true });
      const witnesses = [here.newChannel(), there.newChannel()] as const;
      await here.groupAdd('group', witnesses[0]);
      await there.groupAdd('group', witnesses[1]);
      await here.groupSend('group', { lost: true });
      for (const [index, layer] of [here, there].entries()) {
        assert.deepEqual(await next(layer, witnesses[index]!), { lost: true });
        await layer.send(channels[index]!, { after: true });
        assert.deepEqual(await next(layer, channels[index]!), { after: true });
      }
      if (!here.capabilities.queues) return;
      await here.send('work', { after: true });
      assert.deepEqual(await next(there, 'work'), { after: true });
    },

    'flush leaves other prefixes untouched': async (stage) => {
      const [layer, other] = [await stage.open(), await stage.open({ prefix: `${stage.prefix}2` })];
      const channel = other.newChannel();
      await other.send(channel, { kept: 1 });
      if (other.capabilities.queues) await other.send('work', { kept: 2 });
      if (other.capabilities.groups) await other.groupAdd('group', channel);
      await layer.flush();
      assert.deepEqual(await next(other, channel), { kept: 1 });
      if (other.capabilities.queues) assert.deepEqual(await next(other, 'work'), { kept: 2 });
      if (!other.capabilities.groups) return;
      await other.groupSend('group', { kept: 3 });
      assert.deepEqual(await next(other, channel), { kept: 3 });
    },
  },
};

/** Until a channel that was full takes a message again: its process hears of a flush elsewhere a moment later. */
async function emptied(layer: ChannelLayer, channel: string): Promise<void> {
  const send = async (): Promise<void> => {
    for (;;) {
      try {
        return await layer.send(channel, { after: true });
      } catch (error) {
        if (!isLayerError(error, 'CHANNEL_FULL')) throw error;
      }
      await delay(2);
    }
  };
  await soon(send(), 'the other process hears of the flush');
}
