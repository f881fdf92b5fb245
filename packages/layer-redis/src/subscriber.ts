import type { Buffer } from 'node:buffer';
import type { TopicSink } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';

/** Channels named by one `SUBSCRIBE`: many rooms return in few round trips, and no command grows without bound. */
const BATCH = 500;

/** Takes what arrives on one channel. */
export interface Receiver {
  message(payload: Buffer): void;
  /** Takes what arrives through a pattern. */
  from?(channel: string, payload: Buffer): void;
}

/** A topic, and the channels on which its messages come. */
export interface Held {
  readonly sink: Pick<TopicSink, 'gap'>;
  readonly channels: ReadonlyMap<string, Receiver>;
  /** The channels are patterns. */
  readonly patterns?: true;
}

/** The subscriptions of one connection. One map lookup leads from a message to its sink; nothing is decoded on the way. */
export class Subscriber {
  readonly connection: Connection;
  readonly #sharded: boolean;
  readonly #receivers = new Map<string, Receiver>();

  /** `sharded`: topics are held by `SSUBSCRIBE` and `SUBSCRIBE` both, as on Redis Cluster. */
  constructor(connection: Connection, sharded: boolean) {
    this.connection = connection;
    this.#sharded = sharded;
    connection.onMessages({
      message: (channel, payload) => this.#receivers.get(channel)?.message(payload),
      patternMessage: (pattern, channel, payload) => this.#receivers.get(pattern)?.from?.(channel, payload),
    });
  }

  /** Listens to a channel that belongs to the connection itself. */
  async listen(channel: string, receiver: Receiver): Promise<void> {
    this.#receivers.set(channel, receiver);
    await this.connection.run('subscribe', channel);
  }

  /** Resolves when the server has confirmed every channel of the topic. */
  async subscribe(held: Held): Promise<void> {
    for (const [channel, receiver] of held.channels) this.#receivers.set(channel, receiver);
    try {
      await this.#send([held]);
    } catch (error) {
      // Part of it may be in effect: on a cluster one of two, since the slot has just moved.
      await this.unsubscribe(held).catch(() => undefined);
      throw error;
    }
  }

  /** Subscribes anew what another connection held, and tells each topic its gap when it is confirmed, before any message. */
  async resubscribe(topics: readonly Held[]): Promise<void> {
    const owed = topics.map((held) => new Owed(held, this.#receivers));
    const batches: Promise<void>[] = [];
    for (let from = 0; from < topics.length; from += BATCH) {
      const sent = this.#send(topics.slice(from, from + BATCH));
      batches.push(sent.then(() => owed.slice(from, from + BATCH).forEach((debt) => debt.settle())));
    }
    await Promise.all(batches);
  }

  /** The topic's sink is not called from this call on. */
  async unsubscribe(held: Held): Promise<void> {
    const channels = [...held.channels.keys()];
    for (const channel of channels) this.#receivers.delete(channel);
    const plain = this.connection.run(held.patterns === true ? 'punsubscribe' : 'unsubscribe', ...channels);
    const sharded = this.#sharded ? this.connection.run('sunsubscribe', ...channels) : undefined;
    await Promise.all([plain, sharded]);
  }

  async #send(topics: readonly Held[]): Promise<void> {
    const sent: Promise<unknown>[] = [];
    for (const command of ['subscribe', 'psubscribe'] as const) {
      const channels = topics.filter((held) => (held.patterns === true) === (command === 'psubscribe')).flatMap((held) => [...held.channels.keys()]);
      if (channels.length > 0) sent.push(this.connection.run(command, ...channels));
    }
    if (this.#sharded) for (const held of topics) sent.push(this.connection.run('ssubscribe', ...held.channels.keys()));
    await Promise.all(sent);
  }
}

/** A gap that a topic must be told: by its confirmation, or by the first message, which may be read from the socket before that. */
class Owed {
  readonly #held: Held;
  readonly #receivers: Map<string, Receiver>;
  readonly #first = new Map<string, Receiver>();
  #settled = false;

  constructor(held: Held, receivers: Map<string, Receiver>) {
    this.#held = held;
    this.#receivers = receivers;
    for (const [channel, receiver] of held.channels) {
      const first: Receiver = {
        message: (payload) => {
          this.settle();
          receiver.message(payload);
        },
        from: (name, payload) => {
          this.settle();
          receiver.from?.(name, payload);
        },
      };
      this.#first.set(channel, first);
      receivers.set(channel, first);
    }
  }

  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    let wanted = false;
    for (const [channel, receiver] of this.#held.channels) {
      if (this.#receivers.get(channel) !== this.#first.get(channel)) continue;
      this.#receivers.set(channel, receiver);
      wanted = true;
    }
    if (wanted) this.#held.sink.gap();
  }
}
