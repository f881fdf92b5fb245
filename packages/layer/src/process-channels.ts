import type { Body } from './body.ts';
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerStats, Message, SendOptions } from './contract.ts';
import { ID_MEMORY_MS } from './driver/driver.ts';
import { LayerError } from './errors.ts';
import { ExpiringQueue } from './expiring.ts';
import { IdMemory } from './id-memory.ts';
import { Listeners, type Listener } from './listener.ts';
import { NAMES, type NameRule, processChannel } from './names.ts';
import { WaiterList } from './waiters.ts';

const SWEEP_MS = 1000;
/** Ids of messages to channels of this process that are remembered; beyond them the oldest are forgotten before their time. */
const MOST_IDS = 100_000;
const PLAIN: SendOptions = {};

interface QueuedBody {
  readonly body: Body;
  readonly expiresAt: number;
}

interface State {
  readonly waiting: ExpiringQueue<QueuedBody>;
  readonly waiters: WaiterList<Message>;
  readonly listeners: Listeners;
}

/**
 * The channels that live in this process: bounded queues in memory. A channel that is empty and that nobody waits for costs its name only;
 * messages that nobody reads are freed when they expire.
 */
export class ProcessChannels {
  readonly #process: string;
  readonly #capacity: number;
  readonly #expiryMs: number;
  readonly #names: NameRule;
  readonly #stats: LayerStats;
  readonly #channels = new Map<string, State | undefined>();
  readonly #occupied = new Set<string>();
  readonly #sent = new IdMemory<true>(ID_MEMORY_MS, MOST_IDS);
  readonly #clock: Clock;
  #issued = 0;
  #cancelSweep: (() => void) | undefined;

  constructor(process: string, limits: { capacity: number; expiryMs: number; names?: NameRule }, stats: LayerStats, clock: Clock = SYSTEM_CLOCK) {
    this.#process = process;
    this.#capacity = limits.capacity;
    this.#expiryMs = limits.expiryMs;
    this.#names = limits.names ?? NAMES;
    this.#stats = stats;
    this.#clock = clock;
  }

  create(prefix: string): string {
    this.#issued += 1;
    const name = processChannel(prefix, this.#process, this.#issued.toString(36), this.#names);
    this.#channels.set(name, undefined);
    return name;
  }

  has(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /**
   * Hands the message to who waits longest, else to a listener whose turn it is, else keeps it until it expires; false where the channel is full: the newest is
   * the one that goes.
   */
  push(channel: string, body: Body, { id, expiryMs, exempt, capacity = this.#capacity }: SendOptions = PLAIN): boolean {
    const state = this.#state(channel);
    const known = id === undefined ? undefined : `${channel} ${id}`;
    if (known !== undefined && this.#sent.find(known, this.#clock.now()) === true) return true;
    const taken = this.#hand(channel, state, body) || this.#keep(channel, state, body, expiryMs ?? this.#expiryMs, exempt === true ? Infinity : capacity);
    if (taken && known !== undefined) this.#sent.add(known, true, this.#clock.now());
    return taken;
  }

  receive(channel: string, signal: AbortSignal | undefined): Promise<Message> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const state = this.#state(channel);
    this.#dropExpired(state);
    for (let next = state.waiting.shift(); next !== undefined; next = state.waiting.shift()) {
      const message = next.body.read();
      if (message !== undefined) {
        this.#tidy(channel, state);
        return Promise.resolve(message);
      }
      this.#stats.undecodable += 1;
    }
    this.#occupied.delete(channel);
    return state.waiters.wait(signal);
  }

  /** Gives the listener what waits and what comes, until the function is called that this returns, or the channel is closed. */
  listen(channel: string, listener: Listener): () => void {
    const state = this.#state(channel);
    state.listeners.add(listener);
    queueMicrotask(() => this.#giveWaiting(channel, state));
    return () => {
      state.listeners.remove(listener);
      this.#tidy(channel, state);
    };
  }

  /** A listener may be given more. */
  freed(channel: string): void {
    const state = this.#channels.get(channel);
    if (state !== undefined) this.#giveWaiting(channel, state);
  }

  /** Ends the channel: what waits in it is gone, who waits for it is told. */
  remove(channel: string): void {
    this.#channels.get(channel)?.waiters.rejectAll(gone(channel));
    this.#channels.delete(channel);
    this.#occupied.delete(channel);
  }

  /** Empties every channel; the channels stay. */
  clear(): void {
    for (const channel of this.#occupied) this.#channels.get(channel)?.waiting.clear();
    this.#occupied.clear();
    this.#sent.clear();
  }

  close(reason: LayerError): void {
    this.#cancelSweep?.();
    for (const state of this.#channels.values()) state?.waiters.rejectAll(reason);
    this.#channels.clear();
    this.#occupied.clear();
  }

  #state(channel: string): State {
    const known = this.#channels.get(channel);
    if (known !== undefined) return known;
    if (!this.#channels.has(channel)) throw gone(channel);
    const state: State = { waiting: new ExpiringQueue(), waiters: new WaiterList(() => this.#tidy(channel, state)), listeners: new Listeners() };
    this.#channels.set(channel, state);
    return state;
  }

  /** False where nobody is there for it, or others wait before it. */
  #hand(channel: string, state: State, body: Body): boolean {
    if (state.waiting.length > 0) return false;
    const waiter = state.waiters.take();
    if (waiter === undefined) return this.#call(channel, state, body);
    const message = body.read();
    if (message === undefined) {
      this.#stats.undecodable += 1;
      state.waiters.return(waiter);
      return true;
    }
    waiter.resolve(message);
    this.#tidy(channel, state);
    return true;
  }

  #call(channel: string, state: State, body: Body): boolean {
    const listener = state.listeners.next();
    if (listener === undefined) return false;
    listener.give(body.bytes);
    // What it sent there itself.
    if (state.waiting.length > 0) this.#giveWaiting(channel, state);
    return true;
  }

  #giveWaiting(channel: string, state: State): void {
    if (this.#channels.get(channel) !== state) return;
    this.#dropExpired(state);
    while (state.waiting.length > 0 && this.#channels.get(channel) === state) {
      const listener = state.listeners.next();
      if (listener === undefined) return;
      listener.give((state.waiting.shift() as QueuedBody).body.bytes);
    }
    this.#tidy(channel, state);
  }

  #keep(channel: string, state: State, body: Body, expiryMs: number, capacity: number): boolean {
    this.#dropExpired(state);
    if (state.waiting.length >= capacity) return false;
    state.waiting.push({ body: body.copy(), expiresAt: this.#clock.now() + expiryMs });
    this.#occupied.add(channel);
    this.#sweepLater();
    return true;
  }

  #tidy(channel: string, state: State): void {
    if (state.waiting.length > 0 || this.#channels.get(channel) !== state) return;
    this.#occupied.delete(channel);
    if (state.waiters.size === 0 && state.listeners.size === 0) this.#channels.set(channel, undefined);
  }

  #dropExpired(state: State): void {
    if (state.waiting.length > 0) this.#stats.expired += state.waiting.dropExpired(this.#clock.now());
  }

  #sweepLater(): void {
    this.#cancelSweep ??= this.#clock.after(Math.min(this.#expiryMs, SWEEP_MS), () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    for (const channel of this.#occupied) {
      const state = this.#channels.get(channel);
      if (state === undefined) continue;
      this.#dropExpired(state);
      this.#tidy(channel, state);
    }
    if (this.#occupied.size > 0) this.#sweepLater();
  }
}

function gone(channel: string): LayerError {
  return new LayerError('CHANNEL_GONE', `channel ${channel} is not open in this process`);
}
