import { AckPolicy, connect, RetentionPolicy } from 'nats';
import type { Subject } from '../layer/subject.ts';

const MESSAGE = { type: 'bench.message', text: 'x'.repeat(100) };
const ON_THEIR_WAY = 64;

/** What one writes on the library `nats` alone: no expiry, no capacity, no confirmation that a message is one's own, no way back after a loss. */
export const bare: Subject = {
  async queue(url, readers, total, begin) {
    const nats = await connect({ servers: url });
    const manager = await nats.jetstreamManager();
    await manager.streams.delete('BARE').catch(() => undefined);
    await manager.streams.add({ name: 'BARE', subjects: ['bare.queue'], retention: RetentionPolicy.Workqueue });
    await manager.consumers.add('BARE', { durable_name: 'bare', ack_policy: AckPolicy.Explicit });
    const stream = nats.jetstream();
    let sent = 0;
    let received = 0;
    const send = async (): Promise<void> => {
      if (sent >= total) return;
      sent += 1;
      await stream.publish('bare.queue', JSON.stringify(MESSAGE));
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const read = async (): Promise<void> => {
      const consumer = await stream.consumers.get('BARE', 'bare');
      while (received < total) {
        const message = await consumer.next({ expires: 5000 });
        if (message === null) continue;
        message.ack();
        JSON.parse(message.string());
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
    const nats = await connect({ servers: url });
    const { promise, resolve } = Promise.withResolvers<void>();
    let received = 0;
    nats.subscribe('bare.group', {
      callback: (_error, message) => {
        for (let member = 0; member < members; member += 1) message.json();
        received += 1;
        if (received === messages) resolve();
      },
    });
    await nats.flush();
    await begin();
    await promise;
    return members * messages;
  },

  async groupSend(url, messages, begin) {
    const nats = await connect({ servers: url });
    await begin();
    for (let count = 0; count < messages; count += 1) {
      nats.publish('bare.group', JSON.stringify(MESSAGE));
      await nats.flush();
    }
    return messages;
  },

  async rooms(url, rooms, begin) {
    const nats = await connect({ servers: url });
    await begin();
    const subscriptions = Array.from({ length: rooms }, (_, index) => nats.subscribe(`bare.room.${index}`, { callback: () => undefined }));
    await nats.flush();
    for (const subscription of subscriptions) subscription.unsubscribe();
    await nats.flush();
    return rooms;
  },
};
