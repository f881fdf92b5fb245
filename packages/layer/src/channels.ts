import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import { decodeMessage } from './codec.ts';
import type { LayerStats, Message } from './contract.ts';
import { LayerError } from './errors.ts';
import { NAMES, type NameRule, processChannel } from './names.ts';
import { WaiterList } from './waiters.ts';

const SWEEP_MS = 1000;

/** An encoded message, or the text of one, that is parsed anew for each reader, or one that belongs to this channel alone. */
type Body = Uint8Array | string | { readonly own: Message };

interface Waiting {
  readonly body: Body;
  readonly expiresAt: number;
}

interface State {
  readonly waiting: Waiting[];
  readonly waiters: WaiterList<Message>;
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

  /** Hands the message to who waits longest, else keeps it until it expires; false where the channel is full: the newest is the one that goes. */
  push(channel: string, body: Body): boolean {
    const state = this.#state(channel);
    const waiter = state.waiters.take();
    if (waiter !== undefined) {
      const message = read(body);
      if (message === undefined) {
        this.#stats.undecodable += 1;
        state.waiters.return(waiter);
        return true;
      }
      waiter.resolve(message);
      if (state.waiters.size === 0) this.#tidy(channel, state);
      return true;
    }
    this.#dropExpired(state);
    if (state.waiting.length >= this.#capacity) return false;
    state.waiting.push({ body, expiresAt: this.#clock.now() + this.#expiryMs });
    this.#occupied.add(channel);
    this.#sweepLater();
    return true;
  }

  receive(channel: string, signal: AbortSignal | undefined): Promise<Message> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const state = this.#state(channel);
    this.#dropExpired(state);
    for (let next = state.waiting.shift(); next !== undefined; next = state.waiting.shift()) {
      const message = read(next.body);
      if (message !== undefined) {
        this.#tidy(channel, state);
        return Promise.resolve(message);
      }
      this.#stats.undecodable += 1;
    }
    this.#occupied.delete(channel);
    return state.waiters.wait(signal);
  }

  /** Ends the channel: what waits in it is gone, who waits for it is told. */
  remove(channel: string): void {
    this.#channels.get(channel)?.waiters.rejectAll(gone(channel));
    this.#channels.delete(channel);
    this.#occupied.delete(channel);
  }

  /** Empties every channel; the channels stay. */
  clear(): void {
    for (const channel of this.#occupied) {
      const state = this.#channels.get(channel);
      if (state !== undefined) state.waiting.length = 0;
    }
    this.#occupied.clear();
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
    const state: State = { waiting: [], waiters: new WaiterList(() => this.#tidy(channel, state)) };
    this.#channels.set(channel, state);
    return state;
  }

  #tidy(channel: string, state: State): void {
    if (state.waiting.length > 0 || this.#channels.get(channel) !== state) return;
    this.#occupied.delete(channel);
    if (state.waiters.size === 0) this.#channels.set(channel, undefined);
  }

  #dropExpired(state: State): void {
    if (state.waiting.length === 0) return;
    const now = this.#clock.now();
    while (state.waiting[0] !== undefined && state.waiting[0].expiresAt <= now) {
      state.waiting.shift();
      this.#stats.expired += 1;
    }
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

function read(body: Body): Message | undefined {
  return typeof body === 'string' || body instanceof Uint8Array ? decodeMessage(body) : (body.own as Message);
}

function gone(channel: string): LayerError {
  return new LayerError('CHANNEL_GONE', `channel ${channel} is not open in this process`);
}
