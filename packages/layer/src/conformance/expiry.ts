import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { inTime, next, rejects, until } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const EXPIRY_MS = 1000;
/** What has not come by then has expired. */
const READ_MS = 3000;

export const expiry: Family = {
  title: 'expiry',
  tests: {
    'a message is gone after expiryMs, and a later one in the same channel lives its own time': async (stage) => {
      await everywhere(stage, { expiryMs: EXPIRY_MS }, async ({ sender, channel, read }, mark) => {
        await sender.send(channel, { n: 1 });
        await delay(EXPIRY_MS * 0.7);
        mark();
        await sender.send(channel, { n: 2 });
        await delay(EXPIRY_MS * 0.6);
        await sender.send(channel, { n: 3 });
        assert.deepEqual(await read(3), [{ n: 2 }, { n: 3 }]);
      });
    },

    'a message is gone after expiryMs also where a later one keeps its channel in use and nothing is sent any more': async (stage) => {
      await everywhere(stage, { expiryMs: EXPIRY_MS }, async ({ sender, channel, read }, mark) => {
        await sender.send(channel, { n: 1 });
        await delay(EXPIRY_MS * 0.7);
        mark();
        await sender.send(channel, { n: 2 });
        await delay(EXPIRY_MS * 0.6);
        assert.deepEqual(await read(2), [{ n: 2 }]);
      });
    },

    'all arrive, in order, that are read within expiryMs': async (stage) => {
      await everywhere(stage, { expiryMs: EXPIRY_MS }, async ({ sender, channel, read }, mark) => {
        mark();
        for (let n = 0; n < 3; n += 1) {
          await sender.send(channel, { n });
          await delay(50);
        }
        assert.deepEqual(await read(2), [{ n: 0 }, { n: 1 }, { n: 2 }]);
      });
    },

    'an expired message frees its place before the next send is judged': async (stage) => {
      await everywhere(stage, { expiryMs: 600, capacity: 2 }, async ({ sender, reader, channel, read }, mark) => {
        await sender.send(channel, { n: 1 });
        await sender.send(channel, { n: 2 });
        await delay(800);
        mark();
        await sender.send(channel, { n: 3 });
        await sender.send(channel, { n: 4 });
        if (sender === reader) await rejects(sender.send(channel, { n: 5 }), 'CHANNEL_FULL');
        assert.deepEqual(await read(4), [{ n: 3 }, { n: 4 }]);
      });
    },

    'a receive that waits longer than expiryMs still gets a message sent later': async (stage) => {
      await everywhere(stage, { expiryMs: 500 }, async ({ sender, channel, read }, mark) => {
        const received = read(1);
        await delay(700);
        mark();
        await sender.send(channel, { n: 1 });
        assert.deepEqual(await received, [{ n: 1 }]);
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
      let n = 0;
      await inTime(EXPIRY_MS, async (mark) => {
        await add();
        await delay(EXPIRY_MS * 0.7);
        mark();
        await add();
        await delay(EXPIRY_MS * 0.6);
        await there.groupSend('group', { n: (n += 1) });
        for (const member of members) assert.deepEqual(await readTo(n, here, member), [{ n }]);
      });
      await delay(EXPIRY_MS * 1.1);
      await inTime(EXPIRY_MS, async (mark) => {
        const witness = here.newChannel();
        mark();
        await here.groupAdd('group', witness);
        await there.groupSend('group', { n: (n += 1) });
        assert.deepEqual(await readTo(n, here, witness), [{ n }]);
        for (const member of members) {
          await here.send(member, { end: true });
          assert.deepEqual(await next(here, member), { end: true });
        }
      });
    },

    'a message that expires in one member does not touch another, nor the memberships': async (stage) => {
      await inTime(600, async (mark) => {
        const [slow, quick] = [await stage.open({ expiryMs: 600 }), await stage.open({ expiryMs: 60_000 })];
        const [lapses, stays] = [slow.newChannel(), quick.newChannel()];
        await slow.groupAdd('group', lapses);
        await quick.groupAdd('group', stays);
        await quick.groupSend('group', { n: 1 });
        await delay(800);
        mark();
        await quick.groupSend('group', { n: 2 });
        assert.deepEqual(await readTo(2, slow, lapses), [{ n: 2 }]);
        assert.deepEqual(await readTo(2, quick, stays), [{ n: 1 }, { n: 2 }]);
      });
    },
  },
};

interface Place {
  readonly sender: ChannelLayer;
  readonly reader: ChannelLayer;
  readonly channel: string;
  /** What the reader has of the channel up to the message with that number. */
  readonly read: (last: number) => Promise<Message[]>;
}

/**
 * At once in a channel of the process, in one of another process, and in a worker queue where there are some; what the body does between its mark and its end
 * is to take less than `expiryMs`.
 */
async function everywhere(
  stage: Stage,
  options: { expiryMs: number; capacity?: number },
  body: (place: Place, mark: () => void) => Promise<void>,
): Promise<void> {
  const [reader, there] = await stage.openTwo(options);
  let queues = 0;
  const names = [() => reader.newChannel(), ...(reader.capabilities.queues ? [() => `work.${(queues += 1)}`] : [])];
  const attempts = [reader, there].flatMap((sender) =>
    names.map((newName) =>
      inTime(options.expiryMs, (mark) => {
        const channel = newName();
        return body({ sender, reader, channel, read: (last) => readTo(last, reader, channel) }, mark);
      }),
    ),
  );
  await Promise.all(attempts);
}

/** What comes of a channel up to the message with that number, which may be late and then does not come at all. */
async function readTo(last: number, layer: ChannelLayer, channel: string): Promise<Message[]> {
  const messages: Message[] = [];
  const signal = AbortSignal.timeout(READ_MS);
  while (messages.at(-1)?.['n'] !== last && !signal.aborted) {
    await layer.receive(channel, { signal }).then(
      (message) => messages.push(message),
      (error: unknown) => assert.ok(signal.aborted, String(error)),
    );
  }
  return messages;
}
