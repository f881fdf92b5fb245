import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { inTime, next, rejects, take, until } from './expect.ts';
import { places } from './places.ts';
import type { Family } from './suite.ts';

export const sendOptions: Family = {
  title: 'options of send',
  needs: 'sendOptions',
  tests: {
    'each message expires at its own time, wherever it stands, and the others stay in order': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { expiryMs: 60_000 })) {
        await inTime(2000, async (mark) => {
          mark();
          await sender.send(channel, { n: 0 });
          await sender.send(channel, { n: 1 }, { expiryMs: 300 });
          await sender.send(channel, { n: 2 }, { expiryMs: 30_000 });
          await sender.send(channel, { n: 3 }, { expiryMs: 300 });
          await sender.send(channel, { n: 4 });
          await delay(500);
          assert.deepEqual(await take(reader, channel, 3), [{ n: 0 }, { n: 2 }, { n: 4 }]);
        });
      }
    },

    'a message may live longer than expiryMs': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { expiryMs: 200 })) {
        await sender.send(channel, { n: 0 });
        await sender.send(channel, { n: 1 }, { expiryMs: 60_000 });
        await delay(500);
        assert.deepEqual(await next(reader, channel), { n: 1 });
      }
    },

    'one that has expired, wherever it stands, frees its place': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { expiryMs: 60_000, capacity: 2 })) {
        await sender.send(channel, { n: 0 });
        await sender.send(channel, { n: 1 }, { expiryMs: 200 });
        await delay(400);
        await sender.send(channel, { n: 2 });
        if (sender === reader) await rejects(sender.send(channel, { n: 3 }), 'CHANNEL_FULL');
        assert.deepEqual(await take(reader, channel, 2), [{ n: 0 }, { n: 2 }]);
      }
    },

    'an exempt one is taken where the channel is full, and is a part of it for those that come later': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { capacity: 2 })) {
        await sender.send(channel, { n: 0 });
        await sender.send(channel, { n: 1 });
        await sender.send(channel, { n: 2 }, { exempt: true });
        assert.deepEqual(await next(reader, channel), { n: 0 });
        await refused(sender, reader, channel, { n: 3 });
        assert.deepEqual(await next(reader, channel), { n: 1 });
        await sender.send(channel, { n: 4 });
        assert.deepEqual(await take(reader, channel, 2), [{ n: 2 }, { n: 4 }]);
      }
    },

    'the same id is taken and not sent again, by whomever, and also where the first was read': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        await sender.send(channel, { n: 0 }, { id: 'one' });
        await sender.send(channel, { n: 1 }, { id: 'one' });
        await reader.send(channel, { n: 2 }, { id: 'two' });
        await sender.send(channel, { n: 3 }, { id: 'two' });
        const got = (await take(reader, channel, 2)).map(({ n }) => Number(n));
        assert.deepEqual(new Set(got), new Set([0, 2]));
        await sender.send(channel, { n: 4 }, { id: 'one' });
        await sender.send(channel, { n: 5 });
        assert.deepEqual(await next(reader, channel), { n: 5 });
      }
    },

    'in a race of 20 senders with one id one message is sent': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? sender : reader).send(channel, { n }, { id: 'race' })));
        assert.equal(typeof (await next(reader, channel))['n'], 'number');
        await sender.send(channel, { end: true });
        assert.deepEqual(await next(reader, channel), { end: true });
      }
    },

    'ids are those of their channel: no two pairs of name and id meet': async (stage) => {
      const [here, there] = await stage.openTwo();
      const pairs = [
        ['a', 'b:c'],
        ['a:b', 'c'],
        ['a.b', 'c'],
        ['a', 'b.c'],
        ['a', 'c'],
      ] as const;
      if (!here.capabilities.queues) return;
      for (const [channel, id] of pairs) await here.send(channel, { id }, { id });
      const got: Message[] = [];
      for (const channel of ['a', 'a', 'a', 'a:b', 'a.b']) got.push(await next(there, channel));
      assert.deepEqual(got, [{ id: 'b:c' }, { id: 'b.c' }, { id: 'c' }, { id: 'c' }, { id: 'c' }]);
    },

    'one that was refused since the channel was full is not remembered': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { capacity: 1 })) {
        await sender.send(channel, { n: 0 });
        await refused(sender, reader, channel, { n: 1 }, { id: 'again' });
        assert.deepEqual(await next(reader, channel), { n: 0 });
        await sender.send(channel, { n: 2 }, { id: 'again' });
        assert.deepEqual(await next(reader, channel), { n: 2 });
      }
    },

    'what is out of range is INVALID_OPTION, before anything is sent': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        for (const expiryMs of [0, -1, 1.5, 86_400_001, NaN]) await rejects(sender.send(channel, { bad: true }, { expiryMs }), 'INVALID_OPTION', 'expiryMs');
        for (const id of ['', 'x'.repeat(129), 'a b', 'é', 'a\n']) await rejects(sender.send(channel, { bad: true }, { id }), 'INVALID_OPTION', 'id');
        await sender.send(channel, { n: 1 }, { expiryMs: 86_400_000, id: `${'~'.repeat(127)}!` });
        assert.deepEqual(await next(reader, channel), { n: 1 });
      }
    },
  },
};

/** By the channel's own process it is refused, by another one dropped there and counted. */
export const queueCapacities: Family = {
  title: 'capacities of single queues',
  needs: 'queueCapacities',
  tests: {
    'a message is refused where so many wait as it says itself, below and above what the layer says': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { capacity: 3 })) {
        await sender.send(channel, { n: 0 }, { capacity: 1 });
        await refused(sender, reader, channel, { n: 1 }, { capacity: 1 });
        await sender.send(channel, { n: 2 });
        await sender.send(channel, { n: 3 });
        await refused(sender, reader, channel, { n: 4 });
        await sender.send(channel, { n: 5 }, { capacity: 4 });
        await refused(sender, reader, channel, { n: 6 }, { capacity: 4 });
        assert.deepEqual(await take(reader, channel, 4), [{ n: 0 }, { n: 2 }, { n: 3 }, { n: 5 }]);
      }
    },

    'messages that are sent at once have each their own, and the error names it': async (stage) => {
      const layer = await stage.open();
      const sent = [2, 4, 2, 4, 2, 4].map((capacity, n) => layer.send('work', { n }, { capacity }));
      await Promise.all(sent.map((accepted, n) => (n === 2 || n === 4 ? rejects(accepted, 'CHANNEL_FULL', ': 2 unexpired') : accepted)));
      assert.deepEqual(await take(layer, 'work', 4), [{ n: 0 }, { n: 1 }, { n: 3 }, { n: 5 }]);
    },

    'one that is no whole number from 1 to 1 000 000 is INVALID_OPTION': async (stage) => {
      const layer = await stage.open();
      for (const capacity of [0, 1.5, 1_000_001]) await rejects(layer.send('work', {}, { capacity }), 'INVALID_OPTION', 'capacity');
    },
  },
};

async function refused(sender: ChannelLayer, reader: ChannelLayer, channel: string, message: Message, options = {}): Promise<void> {
  if (sender === reader || !channel.includes('!')) {
    await rejects(sender.send(channel, message, options), 'CHANNEL_FULL');
    return;
  }
  const before = reader.stats.droppedFull;
  await sender.send(channel, message, options);
  await until(() => reader.stats.droppedFull === before + 1, 'the drop is counted');
}
