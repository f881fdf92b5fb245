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
  type ReadAheadLimits,
  type Taken,
  type Topic,
  type TopicSink,
} from '@busgate/layer/driver';
import { brokerFor, type BrokerEvents } from '../connect.ts';
import { Keys } from '../keys.ts';
import { Queues } from '../queues.ts';
import type { Target } from '../url.ts';
import { CoreWire } from './core-wire.ts';
import { type DjangoMessage, fromJson, fromParsed, fromRoom, toJson, toRoom } from './messages.ts';
import { ChannelsNames, DJANGO_NAMES } from './names.ts';
import { PubSubWire } from './pubsub-wire.ts';
import { Ring } from './ring.ts';
import type { Wire } from './wire.ts';

/** What both wires can, and what they have otherwise than all other layers. */
const SHARED = {
  history: false,
  groups: true,
  processes: true,
  names: DJANGO_NAMES,
  groupsAreRooms: true,
} as const;

/** Who listens to a Django group here: the room of that name, the group, or both. */
interface GroupSinks {
  room?: TopicSink;
  group?: TopicSink;
}

/** Django's senders drop what passes the capacity of a queue, 100 in its settings: a burst is to be taken in batches soon. */
const READ_AHEAD: ReadAheadLimits = { most: 15, proof: 32 };

/**
 * Speaks the formats of Python's channels_redis 4.3 on the hosts of a Django site: a Django group is the room and the group of that name, channels are
 * Django's. What gateways tell each other goes beside it, on channels of their own.
 */
export class ChannelsDriver implements Driver {
  readonly capabilities: Capabilities;
  readonly readAhead = READ_AHEAD;
  readonly #names: ChannelsNames;
  readonly #ring: Ring;
  readonly #queues: Queues;
  readonly #wire: Wire;
  readonly #listeners = new Map<string, GroupSinks>();
  #inbox: TopicSink | undefined;
  #events: DriverEvents | undefined;
  /** What was told last. */
  #told: string | undefined = 'not told yet';

  constructor(target: Target, wire: 'channels-core' | 'channels-pubsub', context: DriverContext) {
    const { options, process } = context;
    if (options.history.length > 0) options.logger.warn(`wire ${wire} has no history: rooms for which a rule asks for one are UNSUPPORTED`);
    this.#names = new ChannelsNames(options.prefix, process);
    this.#queues = new Queues(options.logger);
    const keys = new Keys(`${this.#names.prefix}:busgate`);
    const hosts = target.kind === 'standalone' ? target.nodes.map((node) => ({ ...target, nodes: [node] })) : [target];
    const events: BrokerEvents = { changed: () => this.#changed(), fault: (kind, reason) => this.#events?.fault(kind, reason) };
    this.#ring = new Ring(hosts.map((host) => brokerFor(host, keys, context, events)));
    const arrivals = {
      group: (name: string, message: DjangoMessage) => this.#onGroup(name, message),
      channel: (channel: string, message: DjangoMessage) => this.#onChannel(channel, message),
      gap: (name: string) => this.#onGap(name),
      undecodable: (where: string) => this.#events?.undecodable(where),
      dropped: (messages: number) => this.#events?.dropped(messages),
    };
    const parts = { ring: this.#ring, queues: this.#queues, names: this.#names, format: target.format, options, arrivals };
    this.#wire = wire === 'channels-core' ? new CoreWire(parts) : new PubSubWire(parts);
    this.capabilities = { ...SHARED, ...this.#wire.capabilities };
  }

  async open(events: DriverEvents): Promise<void> {
    this.#events = events;
    await this.#ring.open();
  }

  topicName({ kind, name }: Topic): string {
    return kind === 'room' || kind === 'group' ? this.#names.groupChannel(name) : this.#names.own(kind, name);
  }

  async publish(topic: Topic, payload: Uint8Array): Promise<number | undefined> {
    if (topic.kind === 'room') {
      const { full } = await this.#wire.groupSend(topic.name, fromRoom(payload));
      if (full > 0) this.#events?.dropped(full);
      return undefined;
    }
    const directed = topic.kind === 'process' ? readDirected(payload) : undefined;
    if (directed === undefined) {
      const channel = this.topicName(topic);
      return (await this.#ring.on(channel).run('publish', channel, bytes(payload))) as number;
    }
    await this.#send(directed.channel, directed.message);
    return undefined;
  }

  async subscribe(topic: Topic, sink: TopicSink): Promise<void> {
    if (topic.kind === 'room' || topic.kind === 'group') return this.#listen(topic.kind, topic.name, sink);
    const name = this.topicName(topic);
    const receivers = new Map([[name, sink]]);
    if (topic.kind !== 'process') return this.#ring.subscribe(name, { sink, channels: receivers });
    this.#inbox = sink;
    await this.#wire.start();
    await this.#ring.subscribe(name, { sink, channels: receivers });
  }

  async unsubscribe(topic: Topic): Promise<void> {
    if (topic.kind !== 'room' && topic.kind !== 'group') return this.#ring.unsubscribe(this.topicName(topic));
    const listeners = this.#listeners.get(topic.name);
    if (listeners === undefined) return;
    delete listeners[topic.kind];
    if (listeners.room !== undefined || listeners.group !== undefined) return;
    this.#listeners.delete(topic.name);
    await this.#wire.leaveGroup(topic.name).catch(() => undefined);
  }

  async push(queue: string, payload: Uint8Array): Promise<boolean> {
    return this.#wire.send(queue, fromJson(payload));
  }

  pop(queue: string, max: number, signal: AbortSignal, ahead = 0): Promise<readonly Taken[]> {
    return this.#wire.pop(queue, { max, ahead }, signal);
  }

  async addMember(group: string, queue: string): Promise<void> {
    await this.#wire.addMember(group, queue);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    await this.#wire.removeMember(group, queue);
  }

  renewMember(group: string, queue: string, leftMs: number): Promise<boolean> {
    return this.#wire.renewMember(group, queue, leftMs);
  }

  /** Queues that are members get it from Redis, as on Django. */
  async publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult> {
    const { queues, full } = await this.#wire.groupSend(group, fromJson(payload));
    return queues === 0 ? { queues: [] } : { queues: [], dropped: full };
  }

  append(): Promise<Position> {
    return Promise.reject(new LayerError('UNSUPPORTED', 'wire channels has no history'));
  }

  read(): Promise<HistoryPage> {
    return this.append() as Promise<never>;
  }

  purge(): Promise<void> {
    return this.append() as Promise<never>;
  }

  flush(): Promise<void> {
    return this.#wire.flush();
  }

  async close(): Promise<void> {
    await this.#wire.close();
    await this.#queues.close();
    await this.#ring.close();
  }

  async #listen(kind: 'room' | 'group', name: string, sink: TopicSink): Promise<void> {
    const known = this.#listeners.get(name);
    if (known !== undefined) {
      known[kind] = sink;
      return;
    }
    const listeners: GroupSinks = { [kind]: sink };
    this.#listeners.set(name, listeners);
    try {
      await this.#wire.joinGroup(name);
    } catch (error) {
      this.#listeners.delete(name);
      throw error;
    }
  }

  async #send(channel: string, message: DjangoMessage): Promise<void> {
    if (!(await this.#wire.send(channel, message))) throw new LayerError('CHANNEL_FULL', `channel ${channel} is full: its process does not keep up`);
  }

  #onGroup(name: string, message: DjangoMessage): void {
    const listeners = this.#listeners.get(name);
    listeners?.room?.message(toRoom(message));
    listeners?.group?.message(toJson(message));
  }

  #onChannel(channel: string, message: DjangoMessage): void {
    this.#inbox?.message(Buffer.concat([Buffer.from(`{"$to":${JSON.stringify(channel)},"$message":`), toJson(message), Buffer.from('}')]));
  }

  #onGap(name: string): void {
    const listeners = this.#listeners.get(name);
    listeners?.room?.gap();
    listeners?.group?.gap();
  }

  /** Told once a change; one host more or less that is away changes nothing for who asks. */
  #changed(): void {
    const { connected, reason } = this.#ring;
    if (connected || reason !== undefined) this.#tell(connected ? undefined : reason);
    this.#ring.changed();
  }

  #tell(fault: string | undefined): void {
    if (fault === this.#told) return;
    this.#told = fault;
    this.#events?.state(fault === undefined ? 'connected' : 'away', fault);
  }
}

/** A message of the layer for a channel of another process; undefined for what gateways tell each other. */
function readDirected(payload: Uint8Array): { channel: string; message: DjangoMessage } | undefined {
  const parsed = JSON.parse(bytes(payload).toString()) as { $to?: unknown; $message?: unknown };
  return typeof parsed.$to === 'string' ? { channel: parsed.$to, message: fromParsed(parsed.$message) as DjangoMessage } : undefined;
}

function bytes(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
