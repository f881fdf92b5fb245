import { Buffer } from 'node:buffer';
import {
  LayerError,
  type Capabilities,
  type Driver,
  type DriverContext,
  type DriverEvents,
  type GroupPublishResult,
  type HistoryPage,
  type Position,
  type Taken,
  type Topic,
  type TopicSink,
} from '@busgate/layer/driver';
import { accessTo } from './connection.ts';
import { Keys } from './keys.ts';
import { Shard } from './shard.ts';
import type { Target } from './url.ts';

/** The layer on Redis: each call is one command or one script. */
export class RedisDriver implements Driver {
  readonly capabilities: Capabilities = { roomOrder: 'total', history: false, queues: false, groups: true, processes: true };
  readonly #keys: Keys;
  readonly #shard: Shard;
  #events: DriverEvents | undefined;

  constructor(target: Target, { options, process }: DriverContext) {
    this.#keys = new Keys(options.prefix);
    this.#shard = new Shard({
      access: accessTo(target, `${options.prefix}:${process}`),
      logger: options.logger,
      sharded: false,
      probeChannel: this.#keys.probe(process),
      writeProbe: this.#keys.nothing,
      locate: async () => target.nodes[0] as (typeof target.nodes)[0],
      greet: async () => undefined,
      changed: () => this.#events?.state(this.#shard.connected ? 'connected' : 'away', this.#shard.reason),
      moved: () => undefined,
    });
  }

  async open(events: DriverEvents): Promise<void> {
    this.#events = events;
    await this.#shard.open();
  }

  topicName(topic: Topic): string {
    return this.#keys.topic(topic);
  }

  async publish(topic: Topic, payload: Uint8Array): Promise<number> {
    return (await this.#shard.run('publish', this.#keys.topic(topic), bytes(payload))) as number;
  }

  async subscribe(topic: Topic, sink: TopicSink): Promise<void> {
    const name = this.#keys.topic(topic);
    await this.#shard.subscribe(name, { sink, channels: new Map([[name, sink]]) });
  }

  async unsubscribe(topic: Topic): Promise<void> {
    await this.#shard.unsubscribe(this.#keys.topic(topic));
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    await this.publish({ kind: 'group', name: group }, payload);
    return { queues: [] };
  }

  push(): Promise<boolean> {
    return unsupported();
  }

  pop(): Promise<readonly Taken[]> {
    return unsupported();
  }

  addMember(): Promise<void> {
    return unsupported();
  }

  removeMember(): Promise<void> {
    return unsupported();
  }

  append(): Promise<Position> {
    return unsupported();
  }

  read(): Promise<HistoryPage> {
    return unsupported();
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.#shard.close();
  }
}

function bytes(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

function unsupported(): Promise<never> {
  return Promise.reject(new LayerError('UNSUPPORTED', 'the Redis layer has no queues and no history yet; memory: has'));
}
