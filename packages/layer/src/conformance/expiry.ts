import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '../layer.ts';
import { next, rejects, take, until } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const EXPIRY_MS = 1000;

export const expiry: Family = {
  title: 'expiry',
  tests: {
    'a message is gone after expiryMs, and a later one in the same channel lives its own time': async (stage) => {
      await everywhere(stage, { expiryMs: EXPIRY_MS }, async ({ sender, reader, channel }) => {
        await sender.send(channel, { n: 1 });
        await delay(EXPIRY_MS * 0.7);
        await sender.send(channel, { n: 2 });
        await delay(EXPIRY_MS * 0.6);
        await sender.send(channel, { n: 3 });
        assert.deepEqual(await take(reader, channel, 2), [{ n: 2 }, { n: 3 }]);
      });
    },

    'all arrive, in order, that are read within expiryMs': async (stage) => {
      await everywhere(stage, { expiryMs: 2000 }, async ({ sender, reader, channel }) => {
        for (let n = 0; n < 3; n += 1) {
          await sender.send(channel, { n });
          await delay(50);
        }
        assert.deepEqual(await take(reader, channel, 3), [{ n: 0 }, { n: 1 }, { n: 2 }]);
      });
    },

    'an expired message frees its place before the next send is judged': async (stage) => {
      await everywhere(stage, { expiryMs: 600, capacity: 2 }, async ({ sender, reader, channel }) => {
        await sender.send(channel, { n: 1 });
        await sender.send(channel, { n: 2 });
        await delay(800);
        await sender.send(channel, { n: 3 });
        await sender.send(channel, { n: 4 });
        if (sender === reader) await rejects(sender.send(channel, { n: 5 }), 'CHANNEL_FULL');
        assert.deepEqual(await take(reader, channel, 2), [{ n: 3 }, { n: 4 }]);
      });
    },

    'a receive that waits longer than expiryMs still gets a message sent later': async (stage) => {
      await everywhere(stage, { expiryMs: 500 }, async ({ sender, reader, channel }) => {
        const received = next(reader, channel);
        await delay(700);
        await sender.send(channel, { late: true });
        assert.deepEqual(await received, { late: true });
      });
    },

    'unread messages expire also where nobody ever listens': async (stage) => {
      const layer = await stage.open({ expiryMs: 300 });
      for (let count = 0; count < 3; count += 1) await layer.send(layer.newChannel(), { unread: true });
      await until(() => layer.stats.expired === 3, 'three expired unread');
    },
  },
};

export const groupExpiry: Family = {
  title: 'expiry in groups',
  needs: 'groups',
  tests: {
    'a membership ends groupExpiryMs after the last groupAdd': async (stage) => {
      const [here, there] = await stage.openTwo({ groupExpiryMs: EXPIRY_MS });
      const channel = here.newChannel();
      const members = [channel, ...(here.capabilities.queues ? ['work'] : [])];
      const add = async (): Promise<void> => {
        for (const member of members) await here.groupAdd('group', member);
      };
      await add();
      await delay(EXPIRY_MS * 0.7);
      await add();
      await delay(EXPIRY_MS * 0.6);
      await there.groupSend('group', { n: 1 });
      for (const member of members) assert.deepEqual(await next(here, member), { n: 1 });
      await delay(EXPIRY_MS * 0.7);
      const witness = here.newChannel();
      await here.groupAdd('group', witness);
      await there.groupSend('group', { n: 2 });
      assert.deepEqual(await next(here, witness), { n: 2 });
      for (const member of members) {
        await here.send(member, { end: true });
        assert.deepEqual(await next(here, member), { end: true });
      }
    },

    'a message that expires in one member does not touch another, nor the memberships': async (stage) => {
      const [slow, quick] = [await stage.open({ expiryMs: 600 }), await stage.open({ expiryMs: 60_000 })];
      const [lapses, stays] = [slow.newChannel(), quick.newChannel()];
      await slow.groupAdd('group', lapses);
      await quick.groupAdd('group', stays);
      await quick.groupSend('group', { n: 1 });
      await delay(800);
      await quick.groupSend('group', { n: 2 });
      assert.deepEqual(await next(slow, lapses), { n: 2 });
      assert.deepEqual(await take(quick, stays, 2), [{ n: 1 }, { n: 2 }]);
    },
  },
};

interface Place {
  readonly sender: ChannelLayer;
  readonly reader: ChannelLayer;
  readonly channel: string;
}

/** At once in a channel of the process, in one of another process, and in a worker queue where there are some. */
async function everywhere(stage: Stage, options: { expiryMs: number; capacity?: number }, body: (place: Place) => Promise<void>): Promise<void> {
  const [here, there] = await stage.openTwo(options);
  const places = [
    { sender: here, reader: here, channel: here.newChannel() },
    { sender: there, reader: here, channel: here.newChannel() },
  ];
  if (here.capabilities.queues) places.push({ sender: here, reader: here, channel: 'own.work' }, { sender: there, reader: here, channel: 'work' });
  await Promise.all(places.map(body));
}
