import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerLogger, LayerStats, ResolvedOptions, RoomListener, Subscription } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import { historyRule } from './history.ts';
import { Linger } from './linger.ts';
import { KeyedLock } from './lock.ts';
import { formatPosition, parsePosition } from './position.ts';
import { Room } from './room.ts';

/** A room is let go this long after its last listener left. */
const LINGER_MS = 1000;

/** The rooms that this process listens to: one subscription each, taken with the first listener and let go late after the last. */
export class Rooms {
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  readonly #stats: LayerStats;
  readonly #logger: LayerLogger;
  readonly #rooms = new Map<string, Room>();
  readonly #lock = new KeyedLock();
  #closed: Error | undefined;
  readonly #linger: Linger;

  constructor(driver: Driver, options: ResolvedOptions, stats: LayerStats, clock: Clock = SYSTEM_CLOCK) {
    this.#driver = driver;
    this.#options = options;
    this.#stats = stats;
    this.#logger = options.logger;
    this.#linger = new Linger(LINGER_MS, (name) => void this.#release(name), clock);
  }

  subscribe(name: string, listener: RoomListener, since: string | undefined): Promise<Subscription> {
    return this.#lock.run(name, async () => {
      this.#linger.cancel(name);
      const room = this.#rooms.get(name) ?? (await this.#take(name));
      this.#checkOpen();
      try {
        return await this.#join(room, listener, since);
      } finally {
        if (room.isEmpty) this.#linger.start(name);
      }
    });
  }

  /** The broker is back: rooms whose history could not be read meanwhile read it now. */
  reconnected(): void {
    for (const room of this.#rooms.values()) room.reconnected();
  }

  /** The broker was partitioned: each room may have missed what was published beyond. */
  missed(): void {
    for (const room of this.#rooms.values()) room.gap();
  }

  close(reason: Error): void {
    this.#closed = reason;
    this.#linger.close();
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  async #take(name: string): Promise<Room> {
    const rule = historyRule(this.#options.history, name);
    const room = new Room(name, rule, this.#driver, this.#stats, this.#logger);
    await this.#driver.subscribe({ kind: 'room', name }, room, rule);
    this.#checkOpen();
    this.#rooms.set(name, room);
    try {
      await room.start();
    } catch (error) {
      await this.#drop(name);
      throw error;
    }
    return room;
  }

  async #join(room: Room, listener: RoomListener, since: string | undefined): Promise<Subscription> {
    const member = room.add(listener, since !== undefined);
    try {
      const recovered = since === undefined ? undefined : await room.replay(member, parsePosition(since));
      this.#checkOpen();
      const at = room.positionOf(member);
      return {
        ...(at === undefined ? {} : { position: formatPosition(at) }),
        ...(recovered === undefined ? {} : { recovered }),
        close: async () => {
          if (room.remove(member) && room.isEmpty) this.#linger.start(room.name);
        },
      };
    } catch (error) {
      room.remove(member);
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }

  /** Under the lock: somebody may have come back since the linger began. */
  async #release(name: string): Promise<void> {
    try {
      await this.#lock.run(name, async () => {
        if (this.#rooms.get(name)?.isEmpty === true) await this.#drop(name);
      });
    } catch (error) {
      this.#logger.warn('room could not be let go', { room: name, error: String(error) });
    }
  }

  async #drop(name: string): Promise<void> {
    this.#rooms.get(name)?.close();
    this.#rooms.delete(name);
    await this.#driver.unsubscribe({ kind: 'room', name });
  }
}
