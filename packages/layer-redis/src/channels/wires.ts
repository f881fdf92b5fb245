import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { LayerError, type ResolvedOptions, type Taken } from '@busgate/layer/driver';
import type { Broker } from '../broker.ts';
import type { Connection } from '../connection.ts';
import type { QueueForm } from '../queue-form.ts';
import type { Queues } from '../queues.ts';
import { SCRIPTS, type Runner } from '../scripts.ts';
import type { Receiver } from '../subscriber.ts';
import { type DjangoMessage, packElement, packOpenElement, readElement, toJson, unpack } from './messages.ts';
import { Packer } from './msgpack.ts';
import { ChannelsNames } from './names.ts';

/** Memberships are written again this often: Django forgets them after a day, and a flushed Redis at once. */
const RENEW_MS = 300_000;
const INBOX_BATCH = 1000;

/** Where what arrives goes. */
interface Arrivals {
  group(name: string, message: DjangoMessage): void;
  channel(name: string, message: DjangoMessage): void;
  undecodable(where: string): void;
}

/** What a wire needs. */
export interface WireContext {
  readonly broker: Broker;
  readonly queues: Queues;
  readonly names: ChannelsNames;
  readonly options: ResolvedOptions;
  readonly arrivals: Arrivals;
}

/** What differs between the two layers of channels_redis, which do not speak to each other. */
export interface Wire {
  /** Begins to take what is for channels of this process. */
  start(): Promise<void>;
  joinGroup(group: string): Promise<void>;
  leaveGroup(group: string): Promise<void>;
  groupSend(group: string, message: DjangoMessage): Promise<void>;
  /** False where the channel is full. */
  send(channel: string, message: DjangoMessage): Promise<boolean>;
  pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]>;
  addMember(group: string, queue: string): Promise<void>;
  removeMember(group: string, queue: string): Promise<void>;
  /** The broker was away, and may have come back empty. */
  returned(): void;
  close(): Promise<void>;
}

/** `RedisChannelLayer`: a sorted set for each queue and each group. */
export class CoreWire implements Wire {
  readonly #context: WireContext;
  readonly #tags = new Map<string, string>();
  readonly #groups = new Map<string, string>();
  readonly #closing = new AbortController();
  #issued = 0;
  #reading: Promise<void> | undefined;
  #renewal: NodeJS.Timeout | undefined;

  constructor(context: WireContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    this.#reading ??= this.#read();
    this.#renewal ??= setInterval(() => this.returned(), RENEW_MS).unref();
  }

  async joinGroup(group: string): Promise<void> {
    this.#issued += 1;
    const tag = this.#issued.toString(36);
    await this.#add(group, this.#context.names.member(tag));
    this.#tags.set(group, tag);
    this.#groups.set(tag, group);
  }

  async leaveGroup(group: string): Promise<void> {
    const tag = this.#tags.get(group);
    if (tag === undefined) return;
    this.#tags.delete(group);
    this.#groups.delete(tag);
    await this.removeMember(group, this.#context.names.member(tag));
  }

  async groupSend(group: string, message: DjangoMessage): Promise<void> {
    const { broker, names, options } = this.#context;
    const key = names.groupKey(group);
    const { capacity, expiryMs, groupExpiryMs } = options;
    const open = packOpenElement(message);
    await SCRIPTS.channelsGroupSend.run(broker.on(key), key, names.prefix, open, randomBytes(8), capacity, expiryMs, groupExpiryMs);
  }

  async send(channel: string, message: DjangoMessage): Promise<boolean> {
    const { broker, names, options } = this.#context;
    const key = names.queue(channel);
    const element = packElement(message, channel.includes('!') ? channel : undefined);
    return (await SCRIPTS.channelsSend.run(broker.on(key), key, element, options.capacity, options.expiryMs)) === 1;
  }

  pop(queue: string, max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const { broker, queues, names } = this.#context;
    return queues.pop(broker, SORTED_MESSAGES, names.queue(queue), max, signal);
  }

  addMember(group: string, queue: string): Promise<void> {
    return this.#add(group, queue);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    const key = this.#context.names.groupKey(group);
    await this.#context.broker.on(key).run('zrem', key, queue);
  }

  returned(): void {
    for (const [group, tag] of this.#tags) this.#add(group, this.#context.names.member(tag)).catch(() => undefined);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    this.#closing.abort();
    await Promise.all([...this.#tags].map(([group, tag]) => this.removeMember(group, this.#context.names.member(tag)).catch(() => undefined)));
    await this.#reading;
  }

  async #add(group: string, channel: string): Promise<void> {
    const { broker, names, options } = this.#context;
    const key = names.groupKey(group);
    const runner = broker.on(key);
    await Promise.all([runner.run('zadd', key, (Date.now() / 1000).toFixed(6), channel), runner.run('expire', key, Math.ceil(options.groupExpiryMs / 1000))]);
  }

  /** Takes what is for this process in batches: senders drop what passes their capacity, and one at a time is too slow in a burst. */
  async #read(): Promise<void> {
    const { broker, queues, names } = this.#context;
    while (!this.#closing.signal.aborted) {
      const taken = await queues.pop(broker, SORTED_ELEMENTS, names.inbox, INBOX_BATCH, this.#closing.signal);
      for (const { payload } of taken) this.#arrived(payload as Buffer);
    }
  }

  #arrived(element: Buffer): void {
    const { arrivals, names } = this.#context;
    try {
      const { message, recipients } = readElement(element);
      for (const channel of recipients) {
        const tag = ChannelsNames.tagOf(channel);
        const group = tag === undefined ? undefined : this.#groups.get(tag);
        if (group !== undefined) arrivals.group(group, message);
        else if (tag === undefined) arrivals.channel(channel, message);
      }
    } catch {
      arrivals.undecodable(names.inbox);
    }
  }
}

/** `RedisPubSubChannelLayer`: everything is published, nothing waits. */
export class PubSubWire implements Wire {
  readonly #context: WireContext;

  constructor(context: WireContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    const pattern = this.#context.names.ownChannels;
    const receiver: Receiver = {
      message: () => undefined,
      from: (channel, payload) => this.#take(channel, payload, (message) => this.#context.arrivals.channel(channel, message)),
    };
    await this.#context.broker.subscribe(pattern, { sink: { gap() {} }, channels: new Map([[pattern, receiver]]), patterns: true });
  }

  async joinGroup(group: string): Promise<void> {
    const channel = this.#context.names.groupChannel(group);
    const receiver = { message: (payload: Buffer): void => this.#take(channel, payload, (message) => this.#context.arrivals.group(group, message)) };
    await this.#context.broker.subscribe(channel, { sink: { gap() {} }, channels: new Map([[channel, receiver]]) });
  }

  async leaveGroup(group: string): Promise<void> {
    await this.#context.broker.unsubscribe(this.#context.names.groupChannel(group));
  }

  async groupSend(group: string, message: DjangoMessage): Promise<void> {
    await this.send(this.#context.names.groupChannel(group), message);
  }

  async send(channel: string, message: DjangoMessage): Promise<boolean> {
    await this.#context.broker.on(channel).run('publish', channel, Packer.pack(message));
    return true;
  }

  pop(): Promise<readonly Taken[]> {
    return Promise.reject(unsupported('queues that wait for a reader'));
  }

  addMember(): Promise<void> {
    return Promise.reject(unsupported('groups with members that are queues'));
  }

  async removeMember(): Promise<void> {}

  returned(): void {}

  async close(): Promise<void> {}

  #take(where: string, payload: Buffer, give: (message: DjangoMessage) => void): void {
    let message: DjangoMessage;
    try {
      message = unpack(payload);
    } catch {
      this.#context.arrivals.undecodable(where);
      return;
    }
    give(message);
  }
}

function unsupported(what: string): LayerError {
  return new LayerError('UNSUPPORTED', `wire channels-pubsub has no ${what}; wire channels-core has`);
}

/** An element of a sorted set, with its place in it. */
interface Placed {
  readonly element: Buffer;
  readonly score: string;
}

/** The core layer's queues as they are: random bytes and msgpack. */
const SORTED_ELEMENTS: QueueForm<Placed> = {
  async take(connection: Connection, key: string, seconds: number, max: number): Promise<readonly Placed[]> {
    const [first, rest] = await Promise.all([connection.run('bzpopmin', key, seconds), connection.run('zpopmin', key, max - 1)]);
    const popped = first as [Buffer, Buffer, Buffer] | null;
    const taken: Placed[] = popped === null ? [] : [{ element: popped[1], score: popped[2].toString() }];
    const flat = (rest as unknown[]).flat() as Buffer[];
    for (let index = 0; index < flat.length; index += 2) taken.push({ element: flat[index] as Buffer, score: String(flat[index + 1]) });
    return taken;
  },
  payload: ({ element }: Placed) => element,
  endsAt: () => undefined,
  giveBack: (runner: Runner, key: string, elements: readonly Placed[]) =>
    runner.run('zadd', key, ...elements.flatMap(({ element, score }) => [score, element])),
};

/** The same, as messages of the layer. */
const SORTED_MESSAGES: QueueForm<Placed> = {
  ...SORTED_ELEMENTS,
  payload({ element }: Placed): Uint8Array {
    try {
      return toJson(readElement(element).message);
    } catch {
      // The layer skips and counts what is no JSON.
      return element;
    }
  },
};
