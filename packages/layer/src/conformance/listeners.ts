import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { next, rejects, take, until } from './expect.ts';
import { places } from './places.ts';
import type { Family } from './suite.ts';

/** Within this time everything comes that is on its way; what has not come by then was held back. */
const ABSENCE_MS = 50;

export const listeners: Family = {
  title: 'listeners of channels',
  tests: {
    'each message is given once, in order, as it travels: what waited before, and what comes': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { capacity: 1000 })) {
        const got: unknown[] = [];
        await sender.send(channel, { n: 0, bytes: Uint8Array.of(1) });
        const listening = reader.listen(channel, (payload) => void got.push(read(payload)));
        await Promise.all(Array.from({ length: 299 }, (_, n) => sender.send(channel, { n: n + 1 })));
        await until(() => got.length >= 300, '300 messages');
        assert.deepEqual(got, [{ n: 0, bytes: { $bytes: 'AQ==' } }, ...Array.from({ length: 299 }, (_, n) => ({ n: n + 1 }))]);
        await listening.close();
      }
    },

    'each is told how long its message would have lived on, where its broker says so': async (stage) => {
      for (const { sender, reader, channel } of await places(stage, { expiryMs: 60_000 })) {
        const lifetimes: (number | undefined)[] = [];
        await sender.send(channel, { n: 0 });
        const listening = reader.listen(channel, (_, lifetime) => void lifetimes.push(lifetime));
        await until(() => lifetimes.length === 1, 'a message');
        const [lifetime = 60_000] = lifetimes;
        assert.ok(lifetime > 0 && lifetime <= 60_000, `${lifetime} ms`);
        await listening.close();
      }
    },

    'no more messages are given than the credit has, until one is settled; the others wait in the channel, and come in order': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const under: { readonly n: unknown; readonly settle: () => void }[] = [];
        const listening = reader.listen(
          channel,
          (payload) =>
            new Promise((settle) => {
              under.push({ n: read(payload)['n'], settle });
            }),
          { messages: 2 },
        );
        for (let n = 0; n < 10; n += 1) await sender.send(channel, { n });
        for (let settled = 0; settled < 10; settled += 1) {
          const due = Math.min(10, settled + 2);
          await until(() => under.length >= due, `message ${due}`);
          if (settled < 3) await delay(ABSENCE_MS);
          assert.deepEqual(
            under.map(({ n }) => n),
            Array.from({ length: due }, (_, n) => n),
          );
          under[settled]?.settle();
        }
        await listening.close();
      }
    },

    'no more bytes are given than the credit has, but one message in any case': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        let settle: () => void = () => undefined;
        const got: unknown[] = [];
        const listening = reader.listen(
          channel,
          async (payload) => {
            got.push(read(payload)['n']);
            await new Promise<void>((resolve) => (settle = resolve));
          },
          { bytes: 100 },
        );
        for (let n = 0; n < 4; n += 1) await sender.send(channel, { n, text: 'x'.repeat(200) });
        for (let n = 0; n < 4; n += 1) {
          await until(() => got.length > n, `message ${n}`);
          await delay(n === 0 ? ABSENCE_MS : 0);
          assert.equal(got.length, n + 1);
          settle();
        }
        await listening.close();
        assert.deepEqual(got, [0, 1, 2, 3]);
      }
    },

    'once it is closed it is not called, and what it was not given is for the next who receives': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const got: unknown[] = [];
        const listening = reader.listen(channel, (payload) => void got.push(read(payload)));
        await sender.send(channel, { n: 0 });
        await until(() => got.length === 1, 'a message');
        await listening.close();
        await listening.close();
        await sender.send(channel, { n: 1 });
        assert.deepEqual(await next(reader, channel), { n: 1 });
        assert.deepEqual(got, [{ n: 0 }]);
      }
    },

    'what was beyond the credit of one that is closed is received in order': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const got: unknown[] = [];
        const listening = reader.listen(
          channel,
          async (payload) => {
            got.push(read(payload)['n']);
            await new Promise(() => undefined);
          },
          { messages: 3 },
        );
        for (let n = 0; n < 8; n += 1) await sender.send(channel, { n });
        await until(() => got.length === 3, 'as many as the credit has');
        await listening.close();
        assert.deepEqual(
          await take(reader, channel, 5),
          [3, 4, 5, 6, 7].map((n) => ({ n })),
        );
      }
    },

    'several take turns, each message to only one': async (stage) => {
      for (const { sender, reader, channel } of await places(stage)) {
        const got: unknown[][] = [[], [], []];
        const listening = got.map((own) => reader.listen(channel, (payload) => void own.push(read(payload)['n'])));
        for (let n = 0; n < 9; n += 1) await sender.send(channel, { n });
        await until(() => got.flat().length >= 9, 'nine messages');
        assert.deepEqual(
          got.map((own) => own.length),
          [3, 3, 3],
        );
        assert.deepEqual(new Set(got.flat()), new Set(Array.from({ length: 9 }, (_, n) => n)));
        await Promise.all(listening.map((one) => one.close()));
      }
    },

    'one that throws or rejects is logged, and stops nothing': async (stage) => {
      const told: string[] = [];
      const logger = { info() {}, warn() {}, error: (message: string) => void told.push(message) };
      for (const { sender, reader, channel } of await places(stage, { logger })) {
        const got: unknown[] = [];
        const listening = reader.listen(channel, (payload) => {
          got.push(read(payload)['n']);
          if (got.length === 1) throw new Error('of the listener');
          return got.length === 2 ? Promise.reject(new Error('of the listener')) : undefined;
        });
        for (let n = 0; n < 3; n += 1) await sender.send(channel, { n });
        await until(() => got.length === 3, 'three messages');
        assert.deepEqual(got, [0, 1, 2]);
        await until(() => told.length === 2, 'both failures are logged');
        told.length = 0;
        await listening.close();
      }
    },

    'it is not called within its own call: what it sends there itself follows': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      const log: string[] = [];
      layer.listen(channel, (payload) => {
        const n = read(payload)['n'] as number;
        log.push(`in ${n}`);
        if (n < 3) void layer.send(channel, { n: n + 1 });
        log.push(`out ${n}`);
      });
      await layer.send(channel, { n: 1 });
      await until(() => log.length >= 6, 'three calls');
      assert.deepEqual(log, ['in 1', 'out 1', 'in 2', 'out 2', 'in 3', 'out 3']);
    },

    'what groups send is given too': async (stage) => {
      const [here, there] = await stage.openTwo();
      if (!here.capabilities.groups) return;
      const got: unknown[] = [];
      const channel = here.newChannel();
      here.listen(channel, (payload) => void got.push(read(payload)));
      await here.groupAdd('group', channel);
      for (const layer of [here, there]) await layer.groupSend('group', { to: 'members' });
      await until(() => got.length === 2, 'two messages');
      assert.deepEqual(got, [{ to: 'members' }, { to: 'members' }]);
    },

    'a worker queue with a listener in each of two processes: each message to only one, all of them': async (stage) => {
      const layers = await stage.openTwo({ capacity: 1000 });
      if (!layers[0].capabilities.queues) return;
      const got: unknown[] = [];
      const listening = layers.map((layer) => layer.listen('work', (payload) => void got.push(read(payload)['n'])));
      await Promise.all(Array.from({ length: 500 }, (_, n) => layers[n % 2]!.send('work', { n })));
      await until(() => got.length >= 500, '500 messages');
      await Promise.all(listening.map((one) => one.close()));
      assert.deepEqual(new Set(got), new Set(Array.from({ length: 500 }, (_, n) => n)));
      assert.equal(got.length, 500);
    },

    "another process's channel is FOREIGN_CHANNEL, one that is closed CHANNEL_GONE, a credit that is none INVALID_OPTION": async (stage) => {
      const [here, there] = await stage.openTwo();
      const [own, closed] = [here.newChannel(), here.newChannel()];
      await here.closeChannel(closed);
      const listen = async (channel: string, credit = {}): Promise<unknown> => here.listen(channel, () => undefined, credit);
      await rejects(listen(there.newChannel()), 'FOREIGN_CHANNEL');
      await rejects(listen(closed), 'CHANNEL_GONE', closed);
      await rejects(listen('no name'), 'INVALID_NAME');
      for (const credit of [{ bytes: 0 }, { messages: 0 }, { messages: 1.5 }, { bytes: '1' }]) await rejects(listen(own, credit), 'INVALID_OPTION');
    },
  },
};

function read(payload: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as Record<string, unknown>;
}
