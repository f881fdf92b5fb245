import type { Capabilities } from '../contract.ts';
import type { Driver, DriverContext, DriverEvents, GroupPublishResult, HistoryPage, PushOptions, Taken, Topic, TopicSink } from '../driver/driver.ts';
import type { LeaseStore } from '../driver/leases.ts';
import type { RecordStore } from '../driver/records.ts';
import type { HistoryRule } from '../history-rules.ts';
import type { Position } from '../position.ts';
import { Bus } from './bus.ts';

/** Everything a layer can do, within one process. */
export class MemoryDriver implements Driver {
  readonly capabilities: Capabilities = {
    roomOrder: 'total',
    history: true,
    queues: true,
    groups: true,
    processes: false,
    leases: true,
    sendOptions: true,
    queueCapacities: true,
    publishIds: true,
    traces: true,
    records: true,
  };
  readonly leases: LeaseStore;
  readonly records: RecordStore;
  readonly #bus: Bus;
  readonly #context: DriverContext;
  readonly #release: () => void;
  readonly #subscribed = new Map<string, { readonly topic: Topic; readonly sink: TopicSink }>();
  readonly #closing = new AbortController();

  constructor(bus: Bus, context: DriverContext, release: () => void) {
    this.#bus = bus;
    this.leases = bus.leases;
    this.records = bus.records;
    this.#context = context;
    this.#release = release;
  }

  async open(events: DriverEvents): Promise<void> {
    events.state('connected');
  }

  topicName(topic: Topic): string {
    return `${this.#context.options.prefix}:${topic.kind}:${topic.name}`;
  }

  async publish(topic: Topic, payload: Uint8Array, traceparent?: string): Promise<number> {
    return this.#bus.publish(topic, topic.kind === 'room' ? unshared(payload) : payload, undefined, traceparent);
  }

  async subscribe(topic: Topic, sink: TopicSink): Promise<void> {
    this.#subscribed.set(Bus.key(topic), { topic, sink });
    this.#bus.subscribe(topic, sink);
  }

  async unsubscribe(topic: Topic): Promise<void> {
    const key = Bus.key(topic);
    const entry = this.#subscribed.get(key);
    this.#subscribed.delete(key);
    if (entry !== undefined) this.#bus.unsubscribe(topic, entry.sink);
  }

  async push(queue: string, payload: Uint8Array, options?: PushOptions): Promise<boolean> {
    const { capacity, expiryMs } = this.#context.options;
    return this.#bus.push(queue, payload, options?.capacity ?? capacity, { expiryMs, ...options });
  }

  async pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return this.#bus.queue(queue).pop(max, AbortSignal.any([signal, this.#closing.signal]));
  }

  async addMember(group: string, queue: string): Promise<void> {
    this.#bus.addMember(group, queue, this.#context.options.groupExpiryMs);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    this.#bus.removeMember(group, queue);
  }

  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    return this.#bus.publishGroup(group, payload);
  }

  async append(room: string, payload: Uint8Array, rule: HistoryRule, id?: string, traceparent?: string): Promise<Position> {
    return this.#bus.append(room, unshared(payload), rule, { id, traceparent });
  }

  async read(room: string, rule: HistoryRule, after?: Position): Promise<HistoryPage> {
    return this.#bus.read(room, rule, after);
  }

  async purge(room: string): Promise<void> {
    this.#bus.purge(room);
  }

  async flush(): Promise<void> {
    this.#bus.flush();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const { topic, sink } of this.#subscribed.values()) this.#bus.unsubscribe(topic, sink);
    this.#subscribed.clear();
    this.#release();
  }
}

/** Listeners get this very object, and a history keeps it: it shares its buffer with no other message. */
function unshared(payload: Uint8Array): Uint8Array {
  return new Uint8Array(payload);
}
