import type { Buffer } from 'node:buffer';
import { LayerError, type Taken } from '@busgate/layer/driver';
import type { Receiver } from '../subscriber.ts';
import type { DjangoMessage } from './messages.ts';
import { Serializer } from './serializer.ts';
import { LACKS, type ToWorkers, type Wire, type WireContext } from './wire.ts';

/** `RedisPubSubChannelLayer`: everything is published, nothing waits. */
export class PubSubWire implements Wire {
  readonly capabilities = {
    roomOrder: 'total',
    queues: false,
    sendsToWorkers: true,
    lacks: { ...LACKS, queues: 'every reader gets a copy of what is published, and nothing waits for one' },
  } as const;
  readonly #context: WireContext;
  readonly #serializer: Serializer;

  constructor(context: WireContext) {
    this.#context = context;
    this.#serializer = Serializer.forPubSub(context.format);
  }

  /** The name of each channel has its own host: the pattern is held on all of them. */
  async start(): Promise<void> {
    const pattern = this.#context.names.ownChannels;
    const receiver: Receiver = {
      message: () => undefined,
      from: (channel, payload) => this.#take(channel, payload, (message) => this.#context.arrivals.channel(channel, message)),
    };
    const held = { sink: { gap() {} }, channels: new Map([[pattern, receiver]]), patterns: true } as const;
    await Promise.all(this.#context.ring.hosts.map((host) => host.subscribe(pattern, held)));
  }

  async joinGroup(group: string): Promise<void> {
    const { ring, names, arrivals } = this.#context;
    const channel = names.groupChannel(group);
    const receiver = { message: (payload: Buffer): void => this.#take(channel, payload, (message) => arrivals.group(group, message)) };
    await ring.subscribe(channel, { sink: { gap: () => arrivals.gap(group) }, channels: new Map([[channel, receiver]]) });
  }

  async leaveGroup(group: string): Promise<void> {
    await this.#context.ring.unsubscribe(this.#context.names.groupChannel(group));
  }

  async groupSend(group: string, message: DjangoMessage): Promise<ToWorkers> {
    await this.send(this.#context.names.groupChannel(group), message);
    return { queues: 0, full: 0 };
  }

  async send(channel: string, message: DjangoMessage): Promise<boolean> {
    await this.#context.ring.on(channel).run('publish', channel, this.#serializer.write(message));
    return true;
  }

  pop(): Promise<readonly Taken[]> {
    return Promise.reject(noQueues());
  }

  addMember(): Promise<void> {
    return Promise.reject(noQueues());
  }

  removeMember(): Promise<void> {
    return Promise.reject(noQueues());
  }

  renewMember(): Promise<boolean> {
    return Promise.reject(noQueues());
  }

  /** Nothing stands in Redis. */
  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  #take(where: string, payload: Buffer, give: (message: DjangoMessage) => void): void {
    let message: DjangoMessage;
    try {
      message = this.#serializer.read(payload);
    } catch {
      this.#context.arrivals.undecodable(where);
      return;
    }
    give(message);
  }
}

function noQueues(): LayerError {
  return new LayerError('UNSUPPORTED', 'wire channels-pubsub has no queues');
}
