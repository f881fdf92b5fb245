import { Buffer } from 'node:buffer';
import type {
  Capabilities,
  Driver,
  DriverContext,
  DriverEvents,
  Finding,
  GroupPublishResult,
  HistoryPage,
  HistoryRule,
  LeaseStore,
  Position,
  PushOptions,
  RecordStore,
  Taken,
  Topic,
  TopicSink,
} from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import { brokerFor } from './connect.ts';
import { examine } from './examine.ts';
import { flushKeys } from './flush.ts';
import { append, read, StampedReceiver } from './histories.ts';
import { JoinedCalls } from './joined-calls.ts';
import { Keys } from './keys.ts';
import { RedisLeases } from './leases.ts';
import { push } from './push.ts';
import { ListForm, READ_AHEAD } from './queue-form.ts';
import { Queues } from './queues.ts';
import { RedisRecords } from './records.ts';
import { SCRIPTS, type Runner } from './scripts.ts';
import type { Receiver } from './subscriber.ts';
import type { Target } from './url.ts';

/** The layer on Redis: each call is one command or one script. */
export class RedisDriver implements Driver {
  readonly capabilities: Capabilities = {
    roomOrder: 'total',
    history: true,
    queues: true,
    groups: true,
    processes: true,
    leases: true,
    sendOptions: true,
    queueCapacities: true,
    publishIds: true,
    records: true,
  };
  readonly readAhead = READ_AHEAD;
  readonly leases: LeaseStore;
  readonly records: RecordStore;
  readonly #context: DriverContext;
  readonly #keys: Keys;
  readonly #broker: Broker;
  readonly #queues: Queues;
  readonly #form: ListForm;
  readonly #joined = new JoinedCalls();
  #events: DriverEvents | undefined;

  constructor(target: Target, context: DriverContext) {
    const { options } = context;
    this.#context = context;
    this.#keys = new Keys(options.prefix);
    this.#queues = new Queues(options.logger);
    this.#form = new ListForm(options.expiryMs);
    this.#broker = brokerFor(target, this.#keys, context, {
      changed: () => this.#events?.state(this.#broker.connected ? 'connected' : 'away', this.#broker.reason),
      fault: (kind, reason) => this.#events?.fault(kind, reason),
    });
    this.leases = new RedisLeases({ isOneServer: this.#broker.isOneServer, on: (key) => this.#on(key) }, this.#keys);
    this.records = new RedisRecords((key) => this.#on(key), this.#keys);
  }

  async open(events: DriverEvents): Promise<void> {
    this.#events = events;
    await this.#broker.open();
  }

  topicName(topic: Topic): string {
    return this.#keys.topic(topic);
  }

  async publish(topic: Topic, payload: Uint8Array): Promise<number> {
    const channel = this.#keys.topic(topic);
    return (await this.#on(channel).run(this.#broker.publishCommand, channel, bytes(payload))) as number;
  }

  async subscribe(topic: Topic, sink: TopicSink, history?: HistoryRule): Promise<void> {
    const name = this.#keys.topic(topic);
    const channels = new Map<string, Receiver>([[name, sink]]);
    if (history !== undefined) {
      const live = this.#keys.live(topic.name);
      channels.set(live, new StampedReceiver(sink, () => this.#events?.undecodable(live)));
    }
    await this.#broker.subscribe(name, { sink, channels });
  }

  async unsubscribe(topic: Topic): Promise<void> {
    await this.#broker.unsubscribe(this.#keys.topic(topic));
  }

  async push(queue: string, payload: Uint8Array, options: PushOptions = {}): Promise<boolean> {
    const key = this.#keys.queue(queue);
    const { expiryMs } = this.#context.options;
    const { capacity = this.#context.options.capacity } = options;
    // One step has one bound.
    const outcome = await this.#joined.add(`${key} ${capacity}`, { payload: bytes(payload), options: { expiryMs, ...options } }, (items) =>
      push(this.#broker.on(key, items.length), key, capacity, items),
    );
    return outcome !== 'full';
  }

  pop(queue: string, max: number, signal: AbortSignal, ahead = 0): Promise<readonly Taken[]> {
    return this.#queues.pop(this.#broker, this.#form, this.#keys.queue(queue), { max, ahead }, signal);
  }

  async addMember(group: string, queue: string): Promise<void> {
    const key = this.#keys.members(group);
    await SCRIPTS.addMember.run(this.#on(key), key, queue, this.#context.options.groupExpiryMs);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    const key = this.#keys.members(group);
    await SCRIPTS.removeMember.run(this.#on(key), key, queue, this.#context.options.groupExpiryMs);
  }

  async renewMember(group: string, queue: string, leftMs: number): Promise<boolean> {
    const key = this.#keys.members(group);
    return (await SCRIPTS.renewMember.run(this.#on(key), key, queue, this.#context.options.groupExpiryMs, Math.ceil(leftMs))) === 1;
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    const key = this.#keys.members(group);
    const channel = this.#keys.topic({ kind: 'group', name: group });
    const queues = await SCRIPTS.group.run(this.#on(key), key, this.#broker.publishCommand, channel, bytes(payload));
    return { queues: (queues as Buffer[]).map(String) };
  }

  append(room: string, payload: Uint8Array, rule: HistoryRule, id?: string): Promise<Position> {
    const keys = this.#historyKeys(room);
    const name = this.#keys.topic({ kind: 'room', name: room });
    const { publishCommand } = this.#broker;
    return this.#joined.add(keys[0], { payload: bytes(payload), options: id }, (items) =>
      append(this.#broker.on(keys[0], items.length), keys, name, rule, publishCommand, items),
    );
  }

  read(room: string, rule: HistoryRule, after?: Position): Promise<HistoryPage> {
    const keys = this.#historyKeys(room);
    return read(this.#on(keys[0]), keys, rule, after);
  }

  async purge(room: string): Promise<void> {
    const [messages] = this.#historyKeys(room);
    await this.#on(messages).run('del', messages);
  }

  examine(): Promise<readonly Finding[]> {
    return examine(this.#broker.shards(), this.#context.options.history.length > 0);
  }

  async flush(): Promise<void> {
    await Promise.all(this.#broker.shards().map((shard) => flushKeys(shard, this.#keys)));
  }

  async close(): Promise<void> {
    await this.#queues.close();
    await this.#broker.close();
  }

  /** Where a command goes; what was sent before it goes first. */
  #on(key: string): Runner {
    this.#joined.flush();
    return this.#broker.on(key);
  }

  /** Both are named, so that a slot that is on its way moves them as one. */
  #historyKeys(room: string): readonly [string, string] {
    return [this.#keys.history(room), this.#keys.epoch(room)];
  }
}

function bytes(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
