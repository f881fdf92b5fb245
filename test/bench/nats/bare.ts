import { AckPolicy, connect, RetentionPolicy, type Consumer, type JsMsg } from 'nats';
import { MESSAGE, throughQueue } from '../rig/queue.ts';
import type { Subject } from '../layer/subject.ts';

/** What one writes on the library `nats` alone: no expiry, no capacity, no confirmation that a message is one's own, no way back after a loss. */
export const bare: Subject = {
  async queue(url, readers, total, begin) {
    const nats = await connect({ servers: url });
    const manager = await nats.jetstreamManager();
    await manager.streams.delete('BARE').catch(() => undefined);
    await manager.streams.add({ name: 'BARE', subjects: ['bare.queue'], retention: RetentionPolicy.Workqueue });
    await manager.consumers.add('BARE', { durable_name: 'bare', ack_policy: AckPolicy.Explicit });
    const stream = nats.jetstream();
    const consumers = await Promise.all(Array.from({ length: readers }, () => stream.consumers.get('BARE', 'bare')));
    const receive = async (consumer: Consumer): Promise<void> => {
      let message: JsMsg | null = null;
      while (message === null) message = await consumer.next({ expires: 5000 });
      message.ack();
      JSON.parse(message.string());
    };
    return throughQueue(
      total,
      () => stream.publish('bare.queue', JSON.stringify(MESSAGE)),
      consumers.map((consumer) => () => receive(consumer)),
      begin,
    );
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
