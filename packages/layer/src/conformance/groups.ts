import assert from 'node:assert/strict';
import { next, record, rejects, soon, take, until } from './expect.ts';
import { allowed } from './name-rules.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

export const groups: Family = {
  title: 'groups',
  needs: 'groups',
  tests: {
    'groupSend: to every member, and to no one who was discarded': async (stage) => {
      const [here, there] = await stage.openTwo();
      const members = [here.newChannel(), here.newChannel(), there.newChannel()];
      const owners = [here, here, there];
      for (const [index, channel] of members.entries()) await owners[index]!.groupAdd('group', channel);
      await here.groupDiscard('group', members[1]!);
      await here.groupSend('group', { n: 1 });
      assert.deepEqual(await next(here, members[0]!), { n: 1 });
      assert.deepEqual(await next(there, members[2]!), { n: 1 });
      await here.send(members[1]!, { end: true });
      assert.deepEqual(await next(here, members[1]!), { end: true });
    },

    'groupAdd resolves when the subscription is confirmed: what another process sends from then on arrives': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (let n = 0; n < 30; n += 1) {
        const channel = here.newChannel();
        await here.groupAdd(`quick.${n}`, channel);
        await there.groupSend(`quick.${n}`, { n });
        assert.deepEqual(await next(here, channel), { n });
      }
    },

    'groupAdd for a channel that lives in another process: its owner is asked, and it is a member when that resolves': async (stage) => {
      const [owner, asker, sender] = [await stage.open(), await stage.open(), await stage.open()];
      for (let n = 0; n < 20; n += 1) {
        const channel = owner.newChannel();
        await asker.groupAdd(`asked.${n}`, channel);
        await (n % 2 === 0 ? asker : sender).groupSend(`asked.${n}`, { n });
        assert.deepEqual(await next(owner, channel), { n });
        await asker.groupDiscard(`asked.${n}`, channel);
        await sender.groupSend(`asked.${n}`, { n: 'late' });
        await sender.send(channel, { end: n });
        await owner.groupAdd(`after.${n}`, channel);
        await sender.groupSend(`after.${n}`, { end: n });
        assert.deepEqual(await take(owner, channel, 2), [{ end: n }, { end: n }]);
      }
    },

    'groupAdd of a channel that is closed is CHANNEL_GONE, in this process and in another': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      await here.closeChannel(channel);
      await rejects(here.groupAdd('group', channel), 'CHANNEL_GONE', channel);
      await rejects(there.groupAdd('group', channel), 'CHANNEL_GONE', channel);
    },

    'groupAdd of a channel whose process has gone is CHANNEL_GONE, or TIMEOUT after 5 s where the broker cannot tell': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = there.newChannel();
      await there.close();
      await rejects(here.groupAdd('group', channel), ['CHANNEL_GONE', 'TIMEOUT'], channel);
    },

    'several members of one process each get one copy of their own': async (stage) => {
      const [here, there] = await stage.openTwo();
      const members = Array.from({ length: 5 }, () => here.newChannel());
      for (const channel of members) await here.groupAdd('group', channel);
      for (const sender of [here, there]) {
        await sender.groupSend('group', { list: [1] });
        for (const channel of members) {
          const message = await next(here, channel);
          assert.deepEqual(message, { list: [1] });
          (message['list'] as unknown as number[]).push(2);
        }
      }
    },

    'adding twice is no error and gives one copy; one discard ends it': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      await layer.groupAdd('group', channel);
      await layer.groupAdd('group', channel);
      await layer.groupSend('group', { n: 1 });
      await layer.groupSend('group', { n: 2 });
      assert.deepEqual(await take(layer, channel, 2), [{ n: 1 }, { n: 2 }]);
      await layer.groupDiscard('group', channel);
      await layer.groupSend('group', { n: 3 });
      await layer.groupAdd('other', channel);
      await layer.groupSend('other', { end: true });
      assert.deepEqual(await next(layer, channel), { end: true });
    },

    'discarding who is no member, from whatever group, is no error': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.groupDiscard('unknown', here.newChannel());
      await here.groupDiscard('unknown', there.newChannel());
      const closed = there.newChannel();
      await there.closeChannel(closed);
      await here.groupDiscard('unknown', closed);
    },

    'sending to an empty or unknown group is no error and leaves nothing behind': async (stage) => {
      const layer = await stage.open();
      assert.equal((await layer.groupSend('unknown', { lost: true })).dropped ?? 0, 0);
      const channel = layer.newChannel();
      await layer.groupAdd('unknown', channel);
      await layer.groupSend('unknown', { n: 1 });
      assert.deepEqual(await next(layer, channel), { n: 1 });
    },

    'what one process sends to a group arrives at each member in that order': async (stage) => {
      const layers = [await stage.open({ capacity: 1000 }), await stage.open({ capacity: 1000 }), await stage.open({ capacity: 1000 })];
      const members = layers.map((layer) => layer.newChannel());
      for (const [index, layer] of layers.entries()) await layer.groupAdd('group', members[index]!);
      await Promise.all(Array.from({ length: 200 }, (_, n) => layers[0]!.groupSend('group', { n })));
      for (const [index, layer] of layers.entries()) {
        assert.deepEqual(
          await take(layer, members[index]!, 200),
          Array.from({ length: 200 }, (_, n) => ({ n })),
        );
      }
    },

    'a full member is skipped and counted, the others are not held up: the first come through in order': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 3 });
      const [full, roomy] = [here.newChannel(), here.newChannel()];
      await here.groupAdd('group', full);
      await here.groupAdd('group', roomy);
      const read = take(here, roomy, 4);
      for (let n = 0; n < 4; n += 1) await there.groupSend('group', { n });
      assert.deepEqual(await read, [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);
      await until(() => here.stats.droppedFull === 1, 'one drop is counted');
      assert.deepEqual(await take(here, full, 3), [{ n: 0 }, { n: 1 }, { n: 2 }]);
    },

    '100 members in ten processes all get it': async (stage) => {
      const layers = await Promise.all(Array.from({ length: 10 }, () => stage.open()));
      const members = layers.flatMap((layer) => Array.from({ length: 10 }, () => ({ layer, channel: layer.newChannel() })));
      await Promise.all(members.map(({ layer, channel }) => layer.groupAdd('crowd', channel)));
      await layers[3]!.groupSend('crowd', { all: true });
      await Promise.all(members.map(async ({ layer, channel }) => assert.deepEqual(await next(layer, channel), { all: true })));
    },

    'a closed channel leaves its groups, and the members of a process that closed are gone with it': async (stage) => {
      const [here, there] = await stage.openTwo();
      const [stays, closes, gone] = [here.newChannel(), here.newChannel(), there.newChannel()];
      await here.groupAdd('group', stays);
      await here.groupAdd('group', closes);
      await there.groupAdd('group', gone);
      await here.closeChannel(closes);
      await there.close();
      await here.groupSend('group', { n: 1 });
      assert.deepEqual(await next(here, stays), { n: 1 });
      assert.equal(here.stats.droppedFull, 0);
    },

    'one channel in many groups gets the messages of each, and groups that share a beginning stay apart': async (stage) => {
      const [here, there] = await stage.openTwo();
      const names = allowed(here, ['g', 'g1', 'G', 'g.1', 'g:1', 'g.1.2']);
      const inAll = here.newChannel();
      const single = await Promise.all(
        names.map(async (name) => {
          const channel = here.newChannel();
          await here.groupAdd(name, channel);
          await here.groupAdd(name, inAll);
          return channel;
        }),
      );
      for (const name of names) {
        await there.groupSend(name, { name });
        assert.deepEqual(await next(here, inAll), { name });
      }
      for (const [index, name] of names.entries()) {
        assert.deepEqual(await next(here, single[index]!), { name });
        await here.send(single[index]!, { end: true });
        assert.deepEqual(await next(here, single[index]!), { end: true });
      }
    },

    'groups and rooms are two name spaces: groupSend reaches channels and never a room, publish subscribers of a room and never a channel': async (stage) => {
      const [here, there] = await stage.openTwo();
      if (here.capabilities.groupsAreRooms === true) return oneNameSpace(stage);
      const channel = here.newChannel();
      await here.groupAdd('same', channel);
      const room = await record(here, 'same');
      await there.groupSend('same', { to: 'group' });
      await there.publish('same', '{"to":"room"}');
      await room.count(1);
      assert.deepEqual(await next(here, channel), { to: 'group' });
      await there.groupSend('same', { to: 'end' });
      assert.deepEqual(await next(here, channel), { to: 'end' });
      await there.publish('same', 'end');
      await room.seen('end');
      assert.deepEqual(room.texts, ['{"to":"room"}', 'end']);
    },

    'a group that was left and entered again at once is heard': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (let n = 0; n < 30; n += 1) {
        await here.groupAdd('door', channel);
        await soon(there.groupSend('door', { n }), 'groupSend');
        assert.deepEqual(await next(here, channel), { n });
        await here.groupDiscard('door', channel);
      }
    },
  },
};

export const groupsOfQueues: Family = {
  title: 'groups with worker queues as members',
  needs: 'queues',
  tests: {
    'the sender itself pushes to members that are worker queues: any process reads them, whoever added them': async (stage) => {
      const [adder, sender, reader] = [await stage.open(), await stage.open(), await stage.open()];
      const channel = reader.newChannel();
      await adder.groupAdd('group', 'work');
      await reader.groupAdd('group', channel);
      assert.deepEqual(await sender.groupSend('group', { n: 1 }), { dropped: 0 });
      assert.deepEqual(await next(reader, 'work'), { n: 1 });
      assert.deepEqual(await next(reader, channel), { n: 1 });
    },

    'a full member is skipped and counted in dropped, another with room gets all': async (stage) => {
      const layer = await stage.open({ capacity: 3 });
      await layer.groupAdd('group', 'full');
      await layer.groupAdd('group', 'roomy');
      const dropped: unknown[] = [];
      const roomy: unknown[] = [];
      for (let n = 0; n < 5; n += 1) {
        dropped.push((await layer.groupSend('group', { n })).dropped);
        roomy.push(await next(layer, 'roomy'));
      }
      assert.deepEqual(dropped, [0, 0, 0, 1, 1]);
      assert.deepEqual(
        roomy,
        Array.from({ length: 5 }, (_, n) => ({ n })),
      );
      assert.deepEqual(await take(layer, 'full', 3), [{ n: 0 }, { n: 1 }, { n: 2 }]);
      assert.equal(layer.stats.droppedFull, 2);
    },

    'adding twice gives one copy; any process may discard it, and it stays discarded': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.groupAdd('group', 'work');
      await there.groupAdd('group', 'work');
      await here.groupSend('group', { n: 1 });
      await there.groupDiscard('group', 'work');
      await here.groupSend('group', { n: 2 });
      await here.send('work', { end: true });
      assert.deepEqual(await take(here, 'work', 2), [{ n: 1 }, { end: true }]);
      await here.groupDiscard('group', 'work');
    },

    'the membership of a worker queue outlives the process that added it': async (stage) => {
      const [here, there] = await stage.openTwo();
      await there.groupAdd('group', 'work');
      await there.close();
      await here.groupSend('group', { n: 1 });
      assert.deepEqual(await next(here, 'work'), { n: 1 });
    },

    'what one process sends to a group arrives in each queue in that order': async (stage) => {
      const layer = await stage.open({ capacity: 1000 });
      for (const queue of ['one', 'two']) await layer.groupAdd('group', queue);
      await Promise.all(Array.from({ length: 100 }, (_, n) => layer.groupSend('group', { n })));
      for (const queue of ['one', 'two']) {
        assert.deepEqual(
          await take(layer, queue, 100),
          Array.from({ length: 100 }, (_, n) => ({ n })),
        );
      }
    },
  },
};

/** Where a group is also the room of its name. */
async function oneNameSpace(stage: Stage): Promise<void> {
  const [here, there] = await stage.openTwo();
  const channel = here.newChannel();
  await here.groupAdd('same', channel);
  const room = await record(here, 'same');
  await there.groupSend('same', { to: ['group', 1] });
  await there.publish('same', 'to the room');
  await there.groupSend('same', { to: 'end' });
  await room.count(3);
  assert.deepEqual(room.texts, ['{"to":["group",1]}', 'to the room', '{"to":"end"}']);
  const [first, published, last] = await take(here, channel, 3);
  assert.deepEqual([first, last], [{ to: ['group', 1] }, { to: 'end' }]);
  assert.ok(Object.values(published!).includes('to the room'));
}
