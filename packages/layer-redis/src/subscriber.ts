import type { Buffer } from 'node:buffer';
import { Resubscription, isLayerError, type LayerError, type TopicSink } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';
import { replyCode } from './errors.ts';
import { within } from './proof.ts';

/** Channels named by one `SUBSCRIBE`: many rooms return in few round trips, and no command grows without bound. */
const BATCH = 500;
const NOT_CONFIRMED = 'no confirmation of a subscription';

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

/** A topic whose subscription the server refused, and in which words. */
export interface Refusal {
  readonly held: Held;
  readonly error: LayerError;
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
    await within(this.connection, NOT_CONFIRMED, this.connection.run('subscribe', channel));
  }

  /** Resolves when the server has confirmed every channel of the topic. */
  async subscribe(held: Held): Promise<void> {
    for (const [channel, receiver] of held.channels) this.#receivers.set(channel, receiver);
    try {
      await within(this.connection, NOT_CONFIRMED, this.#send([held]));
    } catch (error) {
      // Part of it may be in effect: on a cluster one of two, since the slot has just moved.
      await this.unsubscribe(held).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Subscribes anew what another connection held, and tells each topic its gap when it is confirmed, before any message. What the server refuses is
   * answered, and holds up nothing else.
   * @throws LayerError LAYER_AWAY: the connection is of no use
   */
  async resubscribe(topics: readonly Held[]): Promise<readonly Refusal[]> {
    const owed = topics.map((held) => new Owed(held, this.#receivers));
    const batches = Array.from({ length: Math.ceil(owed.length / BATCH) }, (_, index) => owed.slice(index * BATCH, (index + 1) * BATCH));
    const outcomes = batches.map((batch) => this.#outcome(batch));
    const refusals: Refusal[] = [];
    for (const [index, batch] of batches.entries()) {
      if ((await this.#confirmed(outcomes[index])) !== undefined) refusals.push(...(await this.#oneByOne(batch)));
      else for (const debt of batch) debt.settle();
    }
    return refusals;
  }

  /** The topic's sink is not called from this call on. */
  async unsubscribe(held: Held): Promise<void> {
    const channels = [...held.channels.keys()];
    for (const channel of channels) this.#receivers.delete(channel);
    const plain = this.connection.run(held.patterns === true ? 'punsubscribe' : 'unsubscribe', ...channels);
    const sharded = this.#sharded ? this.connection.run('sunsubscribe', ...channels) : undefined;
    await within(this.connection, NOT_CONFIRMED, Promise.all([plain, sharded]));
  }

  /** One channel that is refused has a whole command refused. */
  async #oneByOne(batch: readonly Owed[]): Promise<readonly Refusal[]> {
    const wanted = batch.filter((debt) => debt.isWanted);
    const outcomes = wanted.map((debt) => this.#outcome([debt]));
    const refusals: Refusal[] = [];
    for (const [index, debt] of wanted.entries()) {
      const error = await this.#confirmed(outcomes[index]);
      if (error === undefined) debt.settle();
      else if (debt.isWanted) {
        refusals.push({ held: debt.held, error });
        await this.unsubscribe(debt.held).catch(() => undefined);
      }
    }
    return refusals;
  }

  /** How the server answers to a subscription: undefined where it confirms it. */
  #outcome(batch: readonly Owed[]): Promise<unknown> {
    return this.#send(batch.map(({ held }) => held)).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** Answers with what it refused; throws where it did not answer, or is in no state to. */
  async #confirmed(outcome: Promise<unknown> | undefined): Promise<LayerError | undefined> {
    const error = await within(this.connection, NOT_CONFIRMED, outcome ?? Promise.resolve());
    if (error === undefined || isRefused(error)) return error;
    throw error;
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

/** Whether it is this subscription that is refused, and not all that the server is asked. */
function isRefused(error: unknown): error is LayerError {
  return isLayerError(error, 'REFUSED') || replyCode(error) === 'MOVED';
}

/** A gap that a topic must be told: by its confirmation, or by the first message, which may be read from the socket before that. */
class Owed {
  readonly held: Held;
  readonly #receivers: Map<string, Receiver>;
  readonly #first = new Map<string, Receiver>();
  readonly #resubscription: Resubscription;

  constructor(held: Held, receivers: Map<string, Receiver>) {
    this.held = held;
    this.#resubscription = new Resubscription(held.sink);
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

  /** False where the topic was let go meanwhile. */
  get isWanted(): boolean {
    return [...this.held.channels].some(([channel, receiver]) => {
      const now = this.#receivers.get(channel);
      return now === receiver || now === this.#first.get(channel);
    });
  }

  settle(): void {
    let wanted = false;
    for (const [channel, receiver] of this.held.channels) {
      if (this.#receivers.get(channel) !== this.#first.get(channel)) continue;
      this.#receivers.set(channel, receiver);
      wanted = true;
    }
    if (wanted) this.#resubscription.tell();
  }
}
