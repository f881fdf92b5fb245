import { randomBytes } from 'node:crypto';
import { isLayerError, type ChannelLayer, type Listening, type Subscription } from '@busgate/layer';
import { Replies } from './batching.ts';
import type { ConsumerLog } from './context.ts';
import { decodeEvent } from './decode.ts';
import { Handover, roomOf, whileAway } from './handover.ts';
import type { Outlet } from './outlet.ts';
import type { Router } from './router.ts';
import { Runner, WINDOW } from './runner.ts';
import type { DisconnectEvent, GatewayEvent } from './wire.ts';

/** A worker says so often that it lives, in milliseconds. */
const BEAT_MS = 2000;
/** Gateways that have not heard from it for so long have given its sessions to others, in milliseconds. */
const SILENCE_MS = 10_000;
/** Handlers that take long are looked for that often, in milliseconds. */
const LOOK_MS = 500;
/** Events of all its sessions that may wait in a worker, while their handlers are at others. */
const WAITING = { messages: 100_000, bytes: 64 * 1_048_576 };

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
  readonly #log: ConsumerLog;
  readonly #concurrency: number;
  readonly #runner: Runner;
  readonly #replies: Replies;
  readonly #handover: Handover;
  #ownQueue: string;
  /** Of its own queue, and of the route's, which it reads as long as there is room. */
  #own: Listening | undefined;
  #shared: Listening | undefined;
  /** To the room in which workers of the queue hear each other. */
  #others: Promise<Subscription> | undefined;
  /** When the broker last took a sign of life. */
  #heardAt = performance.now();
  #isStopping = false;
  #beat: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  /** Begins to read at {@link start}. */
  constructor({ layer, router, queue, log, concurrency = 1000 }: WorkerOptions) {
    this.#layer = layer;
    this.#queue = queue;
    this.#ownQueue = nameFor(queue);
    this.#log = log;
    this.#concurrency = concurrency;
    this.#replies = new Replies(layer);
    this.#runner = new Runner(router, { layer, log }, (event, stays) => this.#outletOf(event, stays));
    this.#handover = new Handover(layer, log, (event) => this.#runner.bury(event, () => this.#freed()));
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
    this.#heardAt = performance.now();
    this.#listenToOwn();
    this.#beat = setInterval(() => void this.#say(), BEAT_MS);
    this.#look = setInterval(() => this.#runner.keepAlive(performance.now()), LOOK_MS);
    void this.#say();
    void this.#begin();
  }

  /**
   * Takes nothing new, finishes what is in hand, and gives every session back: another worker gets it, and its client notices nothing. Calling twice is one stop.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Reads the route's queue once it hears the other workers, who may be told of its sessions. */
  async #begin(): Promise<void> {
    this.#others = whileAway(() =>
      this.#layer.subscribe(roomOf(this.#queue), (event) => {
        if (event.gap !== true) this.#hear(event.payload);
      }),
    );
    try {
      await this.#others;
    } catch (error) {
      if (!isLayerError(error, 'LAYER_CLOSED')) this.#log.error('the other workers cannot be heard', { queue: this.#queue, error: String(error) });
      return;
    }
    this.#freed();
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    await this.#shared?.close();
    await this.#say();
    await this.#runner.release();
    await this.#replies.flushed();
    await this.#own?.close();
    await this.#handover.decided();
    await this.#runner.passed();
    await this.#replies.flushed();
    for (const timer of [this.#beat, this.#look]) clearInterval(timer);
    const others = await this.#others?.catch(() => undefined);
    await others?.close();
  }

  #outletOf(event: GatewayEvent, stays: boolean): Outlet {
    return this.#replies.outlet(event.reply_channel, event.lease, stays ? { queue: this.#ownQueue, window: WINDOW } : undefined);
  }

  #listenToOwn(): void {
    this.#own = this.#layer.listen(this.#ownQueue, (payload, lifetime) => this.#takeOwn(payload, lifetime), WAITING);
  }

  /** There is room for one more. */
  #freed(): void {
    if (this.#shared !== undefined || this.#isStopping || this.#runner.size >= this.#concurrency) return;
    this.#shared = this.#layer.listen(this.#queue, (payload, lifetime) => this.#takeNew(payload, lifetime));
  }

  #takeOwn(payload: Uint8Array, lifetime: number | undefined): void {
    this.#mindSilence();
    const event = this.#read(payload, this.#ownQueue);
    if (event !== undefined) this.#run(event, lifetime);
  }

  /** From the route's queue: not more than there is room for. What this worker has no room for others may take. */
  #takeNew(payload: Uint8Array, lifetime: number | undefined): void {
    const event = this.#read(payload, this.#queue);
    if (event?.type === 'websocket.disconnect') this.#takeEnd(event, payload);
    else if (event?.type === 'http.disconnect' && !this.#runner.has(event.session)) this.#tellOthers(payload);
    else if (event !== undefined) this.#run(event, lifetime);
    if (this.#runner.size < this.#concurrency) return;
    void this.#shared?.close();
    this.#shared = undefined;
  }

  /** The session may be here, with another worker, or with none. */
  #takeEnd(event: DisconnectEvent, payload: Uint8Array): void {
    const { own_queue: queue, session, path } = event;
    if (queue === this.#ownQueue || this.#runner.has(session)) return this.#run(event);
    if (queue !== undefined) return this.#handover.take(queue, event);
    if (this.#runner.keeps(path)) this.#tellOthers(payload);
    else this.#run(event);
  }

  #read(payload: Uint8Array, queue: string): GatewayEvent | undefined {
    const event = decodeEvent(payload);
    if (event === undefined) this.#log.warn('a message of the queue is no event', { queue });
    return event;
  }

  #run(event: GatewayEvent, lifetime?: number): void {
    this.#runner.handle(event, () => this.#freed(), lifetime);
  }

  /** Whoever has the session hears it: its gateway did not say who that is, or died before it could. */
  #tellOthers(payload: Uint8Array): void {
    whileAway(() => this.#layer.publish(roomOf(this.#queue), payload)).catch((error: unknown) => {
      this.#log.warn('workers could not be told of the end of a session', { queue: this.#queue, error: String(error) });
    });
  }

  /** Another worker took the end of a session that it does not have. */
  #hear(payload: Uint8Array): void {
    const event = decodeEvent(payload);
    if ((event?.type === 'websocket.disconnect' || event?.type === 'http.disconnect') && this.#runner.has(event.session)) this.#run(event);
  }

  async #say(): Promise<void> {
    const state = this.#isStopping ? 'stopping' : 'working';
    try {
      await this.#layer.publish(roomOf(this.#ownQueue), JSON.stringify({ state }));
    } catch {
      // While the broker is away nobody can hear it, and gateways do not count.
      return;
    }
    this.#mindSilence();
    this.#heardAt = performance.now();
  }

  /**
   * After so long a silence (this process was frozen, or cut off from the broker) others may have its sessions. Whatever is still its own is given back, so that no
   * handler goes on for a client whom it does not hear; and gateways read what they find in its queue, so that it has another one.
   */
  #mindSilence(): void {
    if (performance.now() - this.#heardAt <= SILENCE_MS) return;
    this.#heardAt = performance.now();
    this.#log.warn('nobody has heard this worker for 10 s: its sessions are given back', { sessions: this.#runner.size });
    this.#runner.forsake();
    if (this.#isStopping) return;
    void this.#own?.close();
    this.#ownQueue = nameFor(this.#queue);
    this.#listenToOwn();
    this.#freed();
  }
}

function nameFor(queue: string): string {
  return `${queue}.w.${randomBytes(9).toString('hex')}`;
}
