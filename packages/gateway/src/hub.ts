import {
  formatPosition,
  isLayerError,
  type ChannelLayer,
  type HistoryOptions,
  type HistoryReading,
  LayerError,
  type PositionedMessage,
  type PublishOptions,
  type RoomEvent,
  parsePosition,
} from '@busgate/layer';
import type { Counters, PublishFailure, TransportName } from './counters.ts';
import { Flush, type FlushClock } from './hub/flush.ts';
import type { Loss } from './hub/loss.ts';
import type { Replays } from './limits/replays.ts';
import { HubRoom, type RoomContext } from './hub/room.ts';
import { LeftRooms } from './hub/left-rooms.ts';
import { Slices } from './hub/slices.ts';
import type { Log } from './log.ts';
import type { Tracing } from './tracing.ts';

export type Layer = Pick<ChannelLayer, 'publish' | 'subscribe' | 'history' | 'status' | 'capabilities'>;

export interface HubOptions {
  readonly layer: Layer;
  readonly counters: Counters;
  readonly log: Log;
  readonly clock: FlushClock;
  /** Bytes of one room that may wait to be sent; past it the newest are dropped and a gap is told. */
  readonly backlog: number;
  /** Milliseconds that a room is kept at least after its last member has left, unless others need its place. */
  readonly linger: number;
  /** Rooms that are held at most, those that are kept for a while included. */
  readonly maxRooms: number;
  /** What readers of a room lose who cannot keep up; undefined where they are closed. */
  readonly lossOf: (room: string) => Loss | undefined;
  /** How fast clients are given histories. */
  readonly replays: Replays;
  /** Undefined: nobody follows traces. */
  readonly tracing?: Tracing | undefined;
}

/** What a session missed in a room. */
export interface Recovery {
  /** What followed the position that was asked for, the first of it a gap where it could not all be had. */
  readonly events: readonly RoomEvent[];
  readonly recovered: boolean;
  readonly position: string | undefined;
}

type Subscribed = Awaited<ReturnType<Layer['subscribe']>>;

interface HeldRoom {
  readonly room: HubRoom;
  /** Settled once the layer's subscription is in effect, or could not be had. */
  readonly subscribed: Promise<Subscribed>;
  isLive: boolean;
}

/**
 * Rooms and the sessions in them. One subscription a room and process: taken for the first who is about to join, let go late after the last has left.
 */
export class Hub {
  readonly replays: Replays;
  readonly #layer: Layer;
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #context: RoomContext;
  readonly #rooms = new Map<string, HeldRoom>();
  readonly #left: LeftRooms;
  readonly #slices: Slices;
  readonly #maxRooms: number;
  readonly #lossOf: HubOptions['lossOf'];
  readonly #tracing: Tracing | undefined;
  readonly #publishing = new Set<Promise<unknown>>();

  constructor({ layer, counters, log, clock, backlog, linger, maxRooms, lossOf, replays, tracing }: HubOptions) {
    this.#tracing = tracing;
    this.replays = replays;
    this.#lossOf = lossOf;
    this.#maxRooms = maxRooms;
    this.#slices = new Slices(clock);
    this.#left = new LeftRooms(linger, (room) => this.#letGo(room));
    this.#layer = layer;
    this.#counters = counters;
    this.#log = log;
    this.#context = { flush: new Flush(clock), counters, backlog, tracing, onEmpty: (room) => this.#left.add(room.name) };
  }

  /** Rooms with a member in this process. */
  get rooms(): number {
    let rooms = 0;
    for (const { room } of this.#rooms.values()) if (room.size > 0) rooms += 1;
    return rooms;
  }

  /** Those that are held here just now, also without a member. */
  held(): HubRoom[] {
    return Array.from(this.#rooms.values(), ({ room }) => room);
  }

  /** A room that is held here. */
  find(name: string): HubRoom | undefined {
    return this.#rooms.get(name)?.room;
  }

  /** The broker cannot be reached: nobody is let in, also where the room is subscribed for others. */
  get isAway(): boolean {
    return this.#layer.status.state !== 'connected';
  }

  /**
   * Makes sure that the room is subscribed and stays so; at once where it is. The caller then joins it or releases it, without anything between.
   * Rejects with what a subscription fails with, LAYER_AWAY for one, and with CHANNEL_FULL where too many are held; then there is nothing to release.
   */
  hold(name: string): HubRoom | Promise<HubRoom> {
    this.#left.delete(name);
    const known = this.#rooms.get(name);
    if (known === undefined && !this.#hasPlace()) return Promise.reject(new LayerError('CHANNEL_FULL', 'this process holds as many rooms as it may'));
    const { room, subscribed, isLive } = known ?? this.#subscribe(name);
    room.hold();
    return isLive ? room : subscribed.then(() => room);
  }

  /** All of them, or none: rejects as {@link hold} does, and then there is nothing to release. */
  async holdAll(names: readonly string[]): Promise<readonly HubRoom[]> {
    const settled = await Promise.allSettled(names.map(async (name) => await this.hold(name)));
    const rooms = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = settled.find((one) => one.status === 'rejected');
    if (failed === undefined) return rooms;
    for (const room of rooms) room.release();
    throw failed.reason;
  }

  /**
   * What a room's history holds after `since`, up to the moment of the call of `use`: what the room's members get from then on is what follows.
   * The room must be held.
   * @throws LayerError as a subscription does; then `use` is not called
   */
  async recover(name: string, since: string, use: (recovery: Recovery) => void): Promise<void> {
    const events: RoomEvent[] = [];
    const { layerCalls } = this.#counters;
    const subscription = await layerCalls.watch(
      'history',
      this.#layer.subscribe(name, (event) => void events.push(event), { since }),
    );
    use({ events, recovered: subscription.recovered ?? false, position: subscription.position });
    await subscription.close();
  }

  /**
   * What a room's history holds after `since`, or the newest of it, oldest first.
   * @throws LayerError as the layer does
   */
  history(name: string, since: string | undefined, options: HistoryOptions): Promise<HistoryReading> {
    return this.#counters.layerCalls.watch('history', this.#layer.history(name, since, options));
  }

  /**
   * The position before the newest so many messages of a room with history: what follows it are those, and what comes.
   * @throws LayerError as the layer does
   */
  async before(name: string, last: number): Promise<string> {
    const { messages, position } = await this.history(name, undefined, { last });
    const [first] = messages;
    return first === undefined ? position : positionBefore(first);
  }

  /** Resolves when there is time for a piece of work that thousands may have at the same moment. */
  turn(): Promise<void> {
    return this.#slices.turn();
  }

  /**
   * Publishes what a client sent. With an `id` that was given for the same room within 5 minutes nothing is published, and the answer is that of the first.
   * `traceparent`: of the trace that the client wants followed; what is none is as if there were none.
   * @throws LayerError as the layer does, UNSUPPORTED for an `id` in a room without history; counted here
   */
  async publish(room: string, payload: string | Uint8Array, transport: TransportName, id?: string, traceparent?: string): Promise<{ position?: string }> {
    const { layerCalls } = this.#counters;
    const begun = layerCalls.now();
    const step = this.#tracing?.publishing(room, traceparent);
    const carried = step === undefined || this.#layer.capabilities.traces !== true ? undefined : step.traceparent;
    const publishing = id === undefined && carried === undefined ? this.#layer.publish(room, payload) : this.#layer.publish(room, payload, saying(id, carried));
    this.#publishing.add(publishing);
    this.#counters.received[transport] += 1;
    this.#counters.receivedBytes[transport] += Buffer.byteLength(payload);
    try {
      const result = await publishing;
      this.#counters.published += 1;
      step?.end();
      return result;
    } catch (error) {
      const failure = failureOf(error);
      this.#counters.publishFailures[failure] += 1;
      step?.end(failure);
      throw error;
    } finally {
      layerCalls.took('publish', begun);
      this.#publishing.delete(publishing);
    }
  }

  /** Resolves when every publish that is under way has been answered. */
  async published(): Promise<void> {
    await Promise.allSettled(this.#publishing);
  }

  close(): void {
    this.replays.close();
    this.#left.close();
  }

  #hasPlace(): boolean {
    return this.#rooms.size < this.#maxRooms || this.#left.releaseOldest();
  }

  #subscribe(name: string): HeldRoom {
    const room = new HubRoom(name, this.#context, this.#lossOf(name));
    const entry: HeldRoom = { room, subscribed: this.#counters.layerCalls.watch('subscribe', this.#layer.subscribe(name, room.take)), isLive: false };
    this.#rooms.set(name, entry);
    entry.subscribed.then(
      ({ position }) => {
        room.start(position);
        entry.isLive = true;
      },
      () => this.#forget(name, entry),
    );
    return entry;
  }

  /** Nobody came back. */
  #letGo(name: string): void {
    const entry = this.#rooms.get(name);
    if (entry === undefined || !entry.room.isFree) return;
    this.#forget(name, entry);
    entry.subscribed
      .then((subscription) => subscription.close())
      .catch((error: unknown) => this.#log.warn('a room could not be let go', { room: name, error: String(error) }));
  }

  #forget(name: string, entry: HeldRoom): void {
    if (this.#rooms.get(name) === entry) this.#rooms.delete(name);
  }
}

function saying(id: string | undefined, traceparent: string | undefined): PublishOptions {
  return { ...(id === undefined ? {} : { id }), ...(traceparent === undefined ? {} : { traceparent }) };
}

/** Where a message is the next one. */
export function positionBefore({ position }: PositionedMessage): string {
  const at = parsePosition(position);
  return at === undefined ? position : formatPosition({ epoch: at.epoch, offset: at.offset - 1 });
}

function failureOf(error: unknown): PublishFailure {
  if (isLayerError(error, 'LAYER_AWAY') || isLayerError(error, 'LAYER_CLOSED')) return 'away';
  return isLayerError(error, 'OUTCOME_UNKNOWN') || isLayerError(error, 'TIMEOUT') ? 'unknown' : 'refused';
}
