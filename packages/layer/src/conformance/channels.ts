import assert from 'node:assert/strict';
import type { Message } from '../contract.ts';
import { next, rejects, soon, until } from './expect.ts';
import { allowed, ruleOf } from './name-rules.ts';
import type { Family } from './suite.ts';

export const channels: Family = {
  title: 'channels of a process',
  tests: {
    'newChannel: prefix.<process>!<id>, unique over 100,000 calls and over processes': async (stage) => {
      const layers = await stage.openTwo();
      const names = new Set<string>();
      for (const layer of layers) for (let index = 0; index < 50_000; index += 1) names.add(layer.newChannel());
      assert.equal(names.size, 100_000);
      const prefixes = allowed(layers[0], ['a', 'a.b-c_d', 'a.b-c:d@e_f']);
      for (const name of [layers[0].newChannel(), ...prefixes.map((prefix) => layers[0].newChannel(prefix))]) {
        assert.match(name, /^[A-Za-z0-9_:@-]+(\.[A-Za-z0-9_:@-]+)+![A-Za-z0-9_:@-]+$/);
        assert.ok(name.length <= ruleOf(layers[0]).maxLength);
      }
      assert.ok(layers[0].newChannel('a.b').startsWith('a.b.'));
      const process = (name: string): string => name.slice(0, name.indexOf('!'));
      assert.equal(process(layers[0].newChannel('p')), process(layers[0].newChannel('p')));
      assert.notEqual(process(layers[0].newChannel('p')), process(layers[1].newChannel('p')));
    },

    'newChannel refuses a prefix that is no name, or too long for one': async (stage) => {
      const layer = await stage.open();
      for (const prefix of ['', '.', 'a.', '.a', 'a..b', 'a!b', 'a b', 'é', 'a\n', '*', '>', 'x'.repeat(200), 'x'.repeat(ruleOf(layer).maxLength)]) {
        await rejects((async () => layer.newChannel(prefix))(), 'INVALID_NAME');
      }
    },

    'send then receive: the message is equal in every field': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      const message = { type: 'chat.message', text: 'hi', n: 1.5, list: [1, [2], {}], none: null, yes: true };
      for (const layer of [here, there]) {
        await layer.send(channel, message);
        assert.deepEqual(await next(here, channel), message);
      }
    },

    'a channel of whatever prefix is reached from another process': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (const prefix of allowed(here, ['p', 'a.b', 'a-b_c', 'a:b@c'])) {
        const channel = here.newChannel(prefix);
        await there.send(channel, { prefix });
        assert.deepEqual(await next(here, channel), { prefix });
      }
    },

    'a receive that began before the send gets the message': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (const layer of [here, there]) {
        const received = next(here, channel);
        await layer.send(channel, { from: 'send' });
        assert.deepEqual(await received, { from: 'send' });
      }
    },

    'in order: what one process sends without waiting arrives in sending order': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 1000 });
      for (const sender of [here, there]) {
        const channel = here.newChannel();
        await Promise.all(Array.from({ length: 300 }, (_, n) => sender.send(channel, { n })));
        for (let n = 0; n < 300; n += 1) assert.deepEqual(await next(here, channel), { n });
      }
    },

    'order is kept for each of many channels whose messages are interleaved, and none is seen on another': async (stage) => {
      const [here, there] = await stage.openTwo();
      const names = Array.from({ length: 20 }, () => here.newChannel());
      const sent: Promise<void>[] = [];
      for (let n = 0; n < 20; n += 1) for (const channel of names) sent.push(there.send(channel, { channel, n }));
      await Promise.all(sent);
      await Promise.all(
        names.map(async (channel) => {
          for (let n = 0; n < 20; n += 1) assert.deepEqual(await next(here, channel), { channel, n });
        }),
      );
    },

    'a message reaches its own channel with ten processes on the layer': async (stage) => {
      const layers = await Promise.all(Array.from({ length: 10 }, () => stage.open()));
      const owned = layers.map((layer) => ({ layer, channel: layer.newChannel() }));
      await Promise.all(layers.flatMap((sender, from) => owned.map(({ channel }) => sender.send(channel, { from, channel }))));
      for (const { layer, channel } of owned) {
        const got: unknown[] = [];
        for (let count = 0; count < layers.length; count += 1) got.push(await next(layer, channel));
        assert.deepEqual(
          got.toSorted((a, b) => Number((a as Message)['from']) - Number((b as Message)['from'])),
          layers.map((_, from) => ({ from, channel })),
        );
      }
    },

    'send never waits for a reader': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (let n = 0; n < 100; n += 1) await soon((n % 2 === 0 ? here : there).send(channel, { n }), 'send');
    },

    'several listeners take turns: waiters are served in waiting order, each message to only one': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (const sender of [here, there]) {
        const waiting = Array.from({ length: 5 }, () => next(here, channel));
        for (let n = 0; n < 5; n += 1) await sender.send(channel, { n });
        assert.deepEqual(
          await Promise.all(waiting),
          Array.from({ length: 5 }, (_, n) => ({ n })),
        );
      }
    },

    'a busy channel does not starve a quiet one': async (stage) => {
      const [here, there] = await stage.openTwo();
      const [busy, quiet] = [here.newChannel(), here.newChannel()];
      const stop = new AbortController();
      const flood = (async () => {
        while (!stop.signal.aborted) {
          await there.send(busy, { noise: true });
          await here.receive(busy);
        }
      })();
      for (let n = 0; n < 20; n += 1) {
        await there.send(quiet, { n });
        assert.deepEqual(await next(here, quiet), { n });
      }
      stop.abort();
      await flood;
    },

    'what was sent and what was received are copies: changing either changes nothing elsewhere': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (const sender of [here, there]) {
        const message = { list: [1], bytes: Uint8Array.of(1) };
        const sent = sender.send(channel, message);
        message.list.push(2);
        message.bytes[0] = 9;
        await sent;
        assert.deepEqual(await next(here, channel), { list: [1], bytes: Uint8Array.of(1) });
      }
    },

    "receive on another process's channel is FOREIGN_CHANNEL at once, and so is closing it": async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = there.newChannel();
      await rejects(here.receive(channel), 'FOREIGN_CHANNEL', channel);
      await rejects(here.closeChannel(channel), 'FOREIGN_CHANNEL', channel);
      await rejects(here.receive('specific.nobody!1'), 'FOREIGN_CHANNEL');
    },

    'closeChannel drops what waits there and ends its receives; afterwards the channel is gone': async (stage) => {
      const layer = await stage.open();
      const [left, waited] = [layer.newChannel(), layer.newChannel()];
      await layer.send(left, { a: 1 });
      const receives = [rejects(layer.receive(waited), 'CHANNEL_GONE', waited), rejects(layer.receive(waited), 'CHANNEL_GONE')];
      await layer.closeChannel(left);
      await layer.closeChannel(waited);
      await Promise.all(receives);
      for (const channel of [left, waited]) {
        await rejects(layer.receive(channel), 'CHANNEL_GONE', channel);
        await rejects(layer.send(channel, { a: 1 }), 'CHANNEL_GONE', channel);
        await layer.closeChannel(channel);
      }
    },

    'send to a channel whose process has gone: CHANNEL_GONE where the broker can tell, else taken': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = there.newChannel();
      await here.send(channel, { a: 1 });
      await there.close();
      try {
        await soon(here.send(channel, { a: 2 }), 'send');
      } catch (error) {
        await rejects(Promise.reject(error), 'CHANNEL_GONE', channel);
      }
    },

    'CHANNEL_FULL when capacity unexpired messages wait, naming channel and capacity; after one receive a send passes again': async (stage) => {
      const layer = await stage.open({ capacity: 3 });
      const [channel, other] = [layer.newChannel(), layer.newChannel()];
      for (let n = 0; n < 3; n += 1) await layer.send(channel, { n });
      await rejects(layer.send(channel, { n: 3 }), 'CHANNEL_FULL', channel, '3');
      await layer.send(other, { n: 0 });
      assert.deepEqual(await next(layer, channel), { n: 0 });
      await layer.send(channel, { n: 4 });
      await rejects(layer.send(channel, { n: 5 }), 'CHANNEL_FULL');
      assert.deepEqual([await next(layer, channel), await next(layer, channel), await next(layer, channel)], [{ n: 1 }, { n: 2 }, { n: 4 }]);
    },

    'a channel of another process that is full: send resolves, and that process drops the newest and counts it': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 3 });
      const channel = here.newChannel();
      for (let n = 0; n < 5; n += 1) await there.send(channel, { n });
      await until(() => here.stats.droppedFull === 2, 'two drops are counted');
      for (let n = 0; n < 3; n += 1) assert.deepEqual(await next(here, channel), { n });
      await there.send(channel, { n: 5 });
      assert.deepEqual(await next(here, channel), { n: 5 });
    },

    'a reader that keeps up loses nothing of 1,000 messages by 20 senders in two processes': async (stage) => {
      const [here, there] = await stage.openTwo({ capacity: 1000 });
      const channel = here.newChannel();
      const senders = Array.from({ length: 20 }, async (_, sender) => {
        for (let n = 0; n < 50; n += 1) await (sender % 2 === 0 ? here : there).send(channel, { sender, n });
      });
      const reader = async (): Promise<void> => {
        const seen = new Map<unknown, number>();
        for (let count = 0; count < 1000; count += 1) {
          const { sender, n } = await next(here, channel);
          assert.equal(n, (seen.get(sender) ?? -1) + 1);
          seen.set(sender, n as number);
        }
      };
      await Promise.all([reader(), ...senders]);
      assert.equal(here.stats.droppedFull, 0);
    },
  },
};
