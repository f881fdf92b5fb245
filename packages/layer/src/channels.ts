import { Body } from './body.ts';
import type { Capabilities, ChannelListener, Credit, LayerStatus, Listening, Message, ResolvedOptions, SendOptions } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import { LayerError } from './errors.ts';
import { idIn } from './ids.ts';
import type { Inbox } from './inbox.ts';
import { Listener } from './listener.ts';
import { channelAddress, NAMES, type ChannelAddress, type NameRule } from './names.ts';
import type { ProcessChannels } from './process-channels.ts';
import type { QueueReaders } from './queue-readers.ts';
import { checkReachable } from './status.ts';
import { requireCapability } from './abilities.ts';

/** What this process has encoded itself. */
const OWN = { isOwn: true };

/** Where channels may live. */
export interface ChannelPlaces {
  readonly here: ProcessChannels;
  readonly queues: QueueReaders;
  /** The way to those of other processes. */
  readonly inbox: Inbox;
}

/** Sends to and reads from channels, wherever they live: in this process, in another one, or with the broker as worker queues. */
export class Channels {
  readonly #process: string;
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  readonly #places: ChannelPlaces;
  readonly #names: NameRule;

  constructor(process: string, driver: Driver, options: ResolvedOptions, places: ChannelPlaces) {
    this.#process = process;
    this.#driver = driver;
    this.#options = options;
    this.#places = places;
    this.#names = driver.capabilities.names ?? NAMES;
  }

  /** Sends an encoded message to a channel that lives there. */
  async send(channel: string, address: ChannelAddress, payload: Uint8Array, options: SendOptions | undefined): Promise<void> {
    const { here, inbox } = this.#places;
    if ('queue' in address) {
      if (!(await this.#push(address.queue, payload, options))) throw this.#full(channel, options?.capacity ?? this.#driver.capacityMet);
    } else if (address.process !== this.#process) {
      await inbox.send(address.process, channel, payload, options);
    } else if (!here.push(channel, new Body(payload, OWN), options)) {
      throw this.#full(channel, options?.capacity);
    }
  }

  /** From a channel of this process, or a worker queue; any other channel is an error. */
  async receive(channel: string, signal: AbortSignal | undefined): Promise<Message> {
    const queue = this.#queueOf(channel);
    return queue === undefined ? this.#places.here.receive(channel, signal) : this.#places.queues.receive(queue, signal);
  }

  async prepareQueue(channel: string, status: LayerStatus): Promise<void> {
    const queue = this.#queueOf(channel);
    checkReachable(status);
    if (queue !== undefined) await this.#driver.prepareQueue?.(queue);
  }

  listen(channel: string, call: ChannelListener, credit: Required<Credit>): Listening {
    const failed = (error: unknown): void => this.#options.logger.error('a channel listener failed', { channel, error: String(error) });
    const queue = this.#queueOf(channel);
    if (queue !== undefined) return this.#places.queues.listen(queue, call, credit, failed);
    const { here } = this.#places;
    const close = here.listen(channel, new Listener(call, credit, { failed, freed: () => here.freed(channel) }));
    return { close: async () => close() };
  }

  /**
   * Refuses what is not a channel of this process.
   * @throws LayerError FOREIGN_CHANNEL
   */
  checkOwn(channel: string): void {
    const address = channelAddress(channel, this.#names);
    if ('process' in address && address.process === this.#process) return;
    const owner = 'process' in address ? 'belongs to another process: only that one can receive from it or close it' : 'is a worker queue: no process owns it';
    throw new LayerError('FOREIGN_CHANNEL', `channel ${channel} ${owner}`);
  }

  /** The worker queue of that name, or undefined where it is a channel of this process. */
  #queueOf(channel: string): string | undefined {
    const address = channelAddress(channel, this.#names);
    if ('process' in address) {
      this.checkOwn(channel);
      return undefined;
    }
    requireCapability(this.#capabilities, 'queues');
    return address.queue;
  }

  async #push(queue: string, payload: Uint8Array, options: SendOptions | undefined): Promise<boolean> {
    if (this.#capabilities.sendsToWorkers !== true) requireCapability(this.#capabilities, 'queues');
    if (options === undefined) return this.#driver.push(queue, payload);
    requireCapability(this.#capabilities, 'sendOptions');
    if (options.capacity !== undefined) requireCapability(this.#capabilities, 'queueCapacities');
    const { id, ...others } = options;
    return this.#driver.push(queue, payload, id === undefined ? others : { ...others, id: idIn(queue, id) });
  }

  get #capabilities(): Capabilities {
    return this.#driver.capabilities;
  }

  #full(channel: string, capacity = this.#options.capacity): LayerError {
    return new LayerError('CHANNEL_FULL', `channel ${channel} is full: ${capacity} unexpired messages wait in it`);
  }
}
