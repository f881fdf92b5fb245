import { Redis } from 'ioredis';
import { MESSAGE, throughQueue } from '../rig/queue.ts';
import type { Subject } from './subject.ts';

/** What one writes on ioredis alone: no capacity, no expiry, no order of members, no way back after a loss. */
export const bare: Subject = {
  async queue(url, readers, total, begin) {
    const sender = new Redis(url);
    const connections = Array.from({ length: readers }, () => new Redis(url));
    await Promise.all([sender, ...connections].map((connection) => connection.ping()));
    const receive = async (connection: Redis): Promise<void> => {
      const [, element = ''] = (await connection.blpop('bench', 0)) ?? [];
      JSON.parse(element);
    };
    return throughQueue(
      total,
      () => sender.rpush('bench', JSON.stringify(MESSAGE)),
      connections.map((connection) => () => receive(connection)),
      begin,
    );
  },

  async members(url, members, messages, begin) {
    const subscriber = new Redis(url);
    const { promise, resolve } = Promise.withResolvers<void>();
    const counts = Array.from({ length: members }, () => 0);
    let received = 0;
    subscriber.on('message', (_channel, text) => {
      for (let member = 0; member < members; member += 1) {
        JSON.parse(text);
        counts[member] = (counts[member] ?? 0) + 1;
      }
      received += 1;
      if (received === messages) resolve();
    });
    await subscriber.subscribe('bench');
    await begin();
    await promise;
    return members * messages;
  },

  async groupSend(url, messages, begin) {
    const sender = new Redis(url);
    await sender.ping();
    await begin();
    for (let count = 0; count < messages; count += 1) await sender.publish('bench', JSON.stringify(MESSAGE));
    return messages;
  },

  async rooms(url, rooms, begin) {
    const subscriber = new Redis(url);
    await subscriber.ping();
    await begin();
    const names = Array.from({ length: rooms }, (_, index) => `bench.${index}`);
    await Promise.all(names.map((name) => subscriber.subscribe(name)));
    await Promise.all(names.map((name) => subscriber.unsubscribe(name)));
    return rooms;
  },
};
