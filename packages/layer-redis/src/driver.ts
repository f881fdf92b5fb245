import { Buffer } from 'node:buffer';
import type {
  Capabilities,
  Driver,
  DriverContext,
  DriverEvents,
  GroupPublishResult,
  HistoryPage,
  HistoryRule,
  Position,
  Taken,
  Topic,
  TopicSink,
} from '@busgate/layer/driver';
import { accessTo, type Connection } from './connection.ts';
import { flushKeys } from './flush.ts';
import { append, read, StampedReceiver } from './histories.ts';
import { Keys } from './keys.ts';
import { Queues } from './queues.ts';
import { loadScripts, SCRIPTS } from './scripts.ts';
import { Shard } from './shard.ts';
import type { Receiver } from './subscriber.ts';
import type { Target } from './url.ts';

/** The layer on Redis: each call is one command or one script. */
export class RedisDriver implements Driver {
  readonly capabilities: Capabilities = { roomOrder: 'total', history: true, queues: true, groups: true, processes: true };
  readonly #context: DriverContext;
  readonly #keys: Keys;
  readonly #shard: Shard;
  readonly #queues: Queues;
  #events: DriverEvents | undefined;

  constructor(target: Target, context: DriverContext) {
    const { options, process } = context;
    this.#context = context;
    this.#keys = new Keys(options.prefix);
    this.#queues = new Queues(options.expiryMs, options.logger);
    this.#shard = new Shard({
      access: accessTo(target, `${options.prefix}:${process}`),
      logger: options.logger,
      sharded: false,
      probeChannel: this.#keys.probe(process),
      writeProbe: this.#keys.nothing,
      locate: async () => target.nodes[0] as (typeof target.nodes)[0],
      greet: (connection) => this.#greet(connection),
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

  async subscribe(topic: Topic, sink: TopicSink, history?: HistoryRule): Promise<void> {
    const name = this.#keys.topic(topic);
    const channels = new Map<string, Receiver>([[name, sink]]);
    if (history !== undefined) {
      const live = this.#keys.live(topic.name);
      channels.set(live, new StampedReceiver(sink, () => this.#events?.undecodable(live)));
    }
    await this.#shard.subscribe(name, { sink, channels });
  }

  async unsubscribe(topic: Topic): Promise<void> {
    await this.#shard.unsubscribe(this.#keys.topic(topic));
  }

  async push(queue: string, payload: Uint8Array): Promise<boolean> {
    const { capacity, expiryMs } = this.#context.options;
    return (await SCRIPTS.push.run(this.#shard, this.#keys.queue(queue), bytes(payload), capacity, expiryMs)) === 1;
  }

  pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return this.#queues.pop(() => this.#shard, this.#keys.queue(queue), max, signal);
  }

  async addMember(group: string, queue: string): Promise<void> {
    await SCRIPTS.addMember.run(this.#shard, this.#keys.members(group), queue, this.#context.options.groupExpiryMs);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    await this.#shard.run('zrem', this.#keys.members(group), queue);
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    const channel = this.#keys.topic({ kind: 'group', name: group });
    const queues = await SCRIPTS.group.run(this.#shard, this.#keys.members(group), 'PUBLISH', channel, bytes(payload));
    return { queues: (queues as Buffer[]).map(String) };
  }

  append(room: string, payload: Uint8Array, rule: HistoryRule): Promise<Position> {
    return append(this.#shard, this.#keys.history(room), bytes(payload), rule);
  }

  read(room: string, rule: HistoryRule, after?: Position): Promise<HistoryPage> {
    return read(this.#shard, this.#keys.history(room), rule, after);
  }

  async flush(): Promise<void> {
    await flushKeys(this.#shard, this.#keys);
  }

  async close(): Promise<void> {
    await this.#queues.close();
    await this.#shard.close();
  }

  async #greet(connection: Connection): Promise<void> {
    const { history, logger } = this.#context.options;
    const missing = await loadScripts(connection, history.length > 0);
    if (missing !== undefined) logger.info('other programs append to histories by EVAL: there is no function busgate_publish here', { reason: missing });
  }
}

function bytes(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
