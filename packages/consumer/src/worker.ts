import { randomBytes } from 'node:crypto';
import { isLayerError, type ChannelLayer, type Listening, type Message } from '@busgate/layer';
import { Replies } from './batching.ts';
import type { ConsumerLog } from './context.ts';
import { decodeEvent } from './decode.ts';
import type { Outlet } from './outlet.ts';
import type { Router } from './router.ts';
import { Runner, WINDOW } from './runner.ts';
import type { DisconnectEvent, GatewayEvent } from './wire.ts';

/** A worker says so often that it lives, in milliseconds. */
const BEAT_MS = 2000;
/** So long another worker is listened for, before it is taken for dead: more than one of its beats. */
const HEAR_MS = 3000;
/** Events of all its sessions that may wait in a worker, while their handlers are at others. */
const WAITING = { messages: 100_000, bytes: 64 * 1_048_576 };
/** A disconnect may wait unread for so long, in milliseconds. */
const DISCONNECT_LIFETIME_MS = 86_400_000;

export interface WorkerOptions {
  readonly layer: ChannelLayer;
  readonly router: Router;
  /** The queue of the gateway's route. */
  readonly queue: string;
  readonly log: ConsumerLog;
  /** Sockets, and events of handlers that keep nothing, that this worker has at once. Default 1000. */
  readonly concurrency?: number;
}

/**
 * Runs consumers for the events of a queue. Sockets whose handlers live here have their further events sent to a queue of its own. Any number of workers may read
 * one queue, and come and go.
 */
export class Worker {
  readonly #layer: ChannelLayer;
  readonly #queue: string;
  readonly #ownQueue: string;
  readonly #log: ConsumerLog;
  readonly #concurrency: number;
  readonly #runner: Runner;
  readonly #replies: Replies;
  readonly #outlets = new Map<string, Outlet>();
  /** Of its own queue, and of the route's, which it reads as long as there is room. */
  #own: Listening | undefined;
  #shared: Listening | undefined;
  #isStopping = false;
  #beat: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  /** Begins to read at {@link start}. */
  constructor({ layer, router, queue, log, concurrency = 1000 }: WorkerOptions) {
    this.#layer = layer;
    this.#queue = queue;
    this.#ownQueue = `${queue}.w.${randomBytes(9).toString('hex')}`;
    this.#log = log;
    this.#concurrency = concurrency;
    this.#replies = new Replies(layer);
    this.#runner = new Runner(router, { layer, log }, (event, stays) => this.#outletOf(event, stays));
  }

  /** The queue that only this worker reads. */
  get ownQueue(): string {
    return this.#ownQueue;
  }

  /** Sockets and events that it has now. */
  get size(): number {
    return this.#runner.size;
  }

  /** @throws LayerError UNSUPPORTED where the layer has no worker queues */
  start(): void {
    this.#own = this.#layer.listen(this.#ownQueue, (payload) => this.#take(payload), WAITING);
    this.#listen();
    this.#beat = setInterval(() => this.#say('working'), BEAT_MS);
    this.#say('working');
  }

  /**
   * Takes nothing new, finishes what is in hand, and gives every session back: another worker gets it, and its client notices nothing. Calling twice is one stop.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    await this.#shared?.close();
    this.#say('stopping');
    await this.#runner.release((session) => {
      void this.#outlets.get(session)?.reply({ type: 'websocket.release' });
      this.#outlets.delete(session);
    });
    await this.#replies.flushed();
    clearInterval(this.#beat);
    await this.#own?.close();
  }

  #outletOf(event: GatewayEvent, stays: boolean): Outlet {
    const outlet = this.#replies.outlet(event.reply_channel, event.lease, stays ? { queue: this.#ownQueue, window: WINDOW } : undefined);
    if (stays) this.#outlets.set(event.session, outlet);
    return outlet;
  }

  #listen(): void {
    this.#shared = this.#layer.listen(this.#queue, (payload) => this.#takeNew(payload));
  }

  /** From the route's queue: not more than there is room for. What this worker has no room for others may take. */
  #takeNew(payload: Uint8Array): void {
    this.#take(payload);
    if (this.#runner.size < this.#concurrency) return;
    void this.#shared?.close();
    this.#shared = undefined;
  }

  #take(payload: Uint8Array): void {
    const event = decodeEvent(payload);
    if (event === undefined) return this.#log.warn('a message of the queue is no event', { queue: this.#queue });
    if (event.type === 'websocket.disconnect') {
      if (event.own_queue !== undefined && event.own_queue !== this.#ownQueue) return void this.#handOn(event, event.own_queue);
      this.#outlets.delete(event.session);
    }
    this.#runner.handle(event, () => this.#freed());
  }

  #freed(): void {
    if (this.#shared === undefined && !this.#isStopping && this.#runner.size < this.#concurrency) this.#listen();
  }

  /** The gateway died, and another one speaks for it: the worker that has the session is told, where it lives. */
  async #handOn(event: DisconnectEvent, queue: string): Promise<void> {
    try {
      if (await this.#hears(queue)) {
        return await this.#layer.send(queue, event as unknown as Message, { id: event.id, exempt: true, expiryMs: DISCONNECT_LIFETIME_MS });
      }
    } catch (error) {
      if (!isLayerError(error)) throw error;
      this.#log.warn('a worker that has a session could not be told of its end', { queue, error: String(error) });
    }
    this.#runner.handle(event, () => this.#freed());
  }

  async #hears(queue: string): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const subscription = await this.#layer.subscribe(`_worker.${queue}`, (event) => {
      if (event.gap !== true) resolve(true);
    });
    const timer = setTimeout(() => resolve(false), HEAR_MS);
    const heard = await promise;
    clearTimeout(timer);
    await subscription.close();
    return heard;
  }

  #say(state: 'working' | 'stopping'): void {
    // While the broker is away nobody can hear it, and gateways do not count.
    this.#layer.publish(`_worker.${this.#ownQueue}`, JSON.stringify({ state })).catch(() => undefined);
  }
}
