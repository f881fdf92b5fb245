import { openLayer } from '@busgate/layer';
import { MESSAGE, throughQueue } from '../rig/queue.ts';
import type { Subject } from './subject.ts';

/** The layer of Busgate. */
export const busgate: Subject = {
  async queue(url, readers, total, begin) {
    const layer = await openLayer(url, { capacity: 10_000 });
    const receive = (): Promise<unknown> => layer.receive('bench');
    return throughQueue(
      total,
      () => layer.send('bench', MESSAGE),
      Array.from({ length: readers }, () => receive),
      begin,
    );
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
