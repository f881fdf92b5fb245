import { openLayer } from '@busgate/layer';
import type { Subject } from './subject.ts';

const MESSAGE = { type: 'bench.message', text: 'x'.repeat(100) };
const ON_THEIR_WAY = 64;

/** The layer of Busgate. */
export const busgate: Subject = {
  async queue(url, readers, total, begin) {
    const layer = await openLayer(url, { capacity: 10_000 });
    let sent = 0;
    let received = 0;
    const send = async (): Promise<void> => {
      if (sent >= total) return;
      sent += 1;
      await layer.send('bench', MESSAGE);
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const read = async (): Promise<void> => {
      while (received < total) {
        await layer.receive('bench');
        received += 1;
        if (received === total) resolve();
        void send();
      }
    };
    await begin();
    for (let reader = 0; reader < readers; reader += 1) void read();
    for (let message = 0; message < ON_THEIR_WAY; message += 1) void send();
    await promise;
    return total;
  },

  async members(url, members, messages, begin) {
    const layer = await openLayer(url, { capacity: 10_000 });
    const channels = Array.from({ length: members }, () => layer.newChannel());
    for (const channel of channels) await layer.groupAdd('bench', channel);
    const receiving = channels.map(async (channel) => {
      for (let count = 0; count < messages; count += 1) await layer.receive(channel);
    });
    await begin();
    await Promise.all(receiving);
    return members * messages;
  },

  async groupSend(url, messages, begin) {
    const layer = await openLayer(url);
    await begin();
    for (let count = 0; count < messages; count += 1) await layer.groupSend('bench', MESSAGE);
    return messages;
  },

  async rooms(url, rooms, begin) {
    const layer = await openLayer(url);
    await begin();
    const held = await Promise.all(Array.from({ length: rooms }, (_, index) => layer.subscribe(`bench.${index}`, () => undefined)));
    await Promise.all(held.map((subscription) => subscription.close()));
    await layer.close();
    return rooms;
  },
};
