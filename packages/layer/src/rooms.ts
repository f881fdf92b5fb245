import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { HistoryOptions, HistoryReading, LayerStats, ResolvedOptions, RoomListener, Subscription } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import { historyRule, type HistoryRule } from './history-rules.ts';
import { Linger } from './linger.ts';
import { KeyedLock } from './lock.ts';
import { formatPosition, parsePosition, type Position } from './position.ts';
import { readingOf } from './reading.ts';
import { RoomBytes } from './room-bytes.ts';
import { Room, type RoomContext } from './room.ts';
import { SharedReads, type ReadQuestion, type ReadAnswer } from './shared-reads.ts';

/** A room is let go this long after its last listener left. */
const LINGER_MS = 1000;

type Member = ReturnType<Room['add']>;

/** The rooms that this process listens to: one subscription each, taken with the first listener and let go late after the last. And histories of any room. */
export class Rooms {
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  readonly #context: RoomContext;
  readonly #rooms = new Map<string, Room>();
  /** Readings that are under way. */
  readonly #reads = new Map<string, SharedReads>();
  readonly #lock = new KeyedLock();
  #closed: Error | undefined;
  readonly #linger: Linger;

  constructor(driver: Driver, options: ResolvedOptions, stats: LayerStats, clock: Clock = SYSTEM_CLOCK) {
    this.#driver = driver;
    this.#options = options;
    this.#context = { driver, stats, logger: options.logger, clock, bytes: new RoomBytes() };
    this.#linger = new Linger(LINGER_MS, (name) => void this.#closeIfEmpty(name), clock);
  }

  async subscribe(name: string, listener: RoomListener, since: string | undefined): Promise<Subscription> {
    const { room, member } = await this.#enter(name, listener, since === undefined);
    try {
      const recovered = since === undefined ? undefined : await this.#replay(room, member, parsePosition(since));
      this.#checkOpen();
      return this.#subscription(room, member, recovered);
    } catch (error) {
      this.#leave(room, member);
      throw error;
    }
  }

  /** Reads the history of a room with such a rule, held here or not. */
  async history(name: string, rule: HistoryRule, since: string | undefined, options: Required<HistoryOptions>): Promise<HistoryReading> {
    const after = since === undefined ? undefined : parsePosition(since);
    const question = since === undefined ? { last: Math.min(options.last, options.limit) } : { after: after ?? NOWHERE, orOldest: true };
    const answer = await this.#ask(name, rule, question);
    this.#checkOpen();
    return readingOf(answer, since !== undefined, options);
  }

  /** The broker is back: rooms whose history could not be read meanwhile read it now. */
  reconnected(): void {
    for (const room of this.#rooms.values()) room.reconnected();
  }

  /** The broker was partitioned: each room may have missed what was published beyond. */
  missed(): void {
    for (const room of this.#rooms.values()) room.gap();
  }

  /** The history of a room was let go of in the broker. */
  purged(name: string): void {
    this.#rooms.get(name)?.forgetRecent();
  }

  /** Everything was deleted in the broker. */
  forgetRecent(): void {
    for (const room of this.#rooms.values()) room.forgetRecent();
  }

  close(reason: Error): void {
    this.#closed = reason;
    this.#linger.close();
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #enter(name: string, listener: RoomListener, live: boolean): Promise<{ room: Room; member: Member }> {
    return this.#lock.run(name, async () => {
      this.#linger.cancel(name);
      const room = this.#rooms.get(name) ?? (await this.#openRoom(name));
      this.#checkOpen();
      return { room, member: room.add(listener, live) };
    });
  }

  #leave(room: Room, member: Member): void {
    if (room.remove(member) && room.isEmpty) this.#linger.start(room.name);
  }

  #subscription(room: Room, member: Member, recovered: boolean | undefined): Subscription {
    const at = room.positionOf(member);
    return {
      ...(at === undefined ? {} : { position: formatPosition(at) }),
      ...(recovered === undefined ? {} : { recovered }),
      close: async () => this.#leave(room, member),
    };
  }

  async #openRoom(name: string): Promise<Room> {
    const rule = historyRule(this.#options.history, name);
    const room = new Room(name, rule, this.#context);
    await this.#driver.subscribe({ kind: 'room', name }, room, rule);
    this.#checkOpen();
    this.#rooms.set(name, room);
    try {
      await room.start();
    } catch (error) {
      await this.#closeRoom(name);
      throw error;
    }
    return room;
  }

  /** Gives a member what followed `since` and lets it go live; false, and a gap, where not all of it is kept. Many do so at once. */
  async #replay(room: Room, member: Member, since: Position | undefined): Promise<boolean> {
    const rule = historyRule(this.#options.history, room.name);
    let after = rule === undefined ? undefined : since;
    while (after !== undefined && rule !== undefined) {
      const answer: ReadAnswer = this.#answerFromRecent(room, { after }) ?? (await this.#ask(room.name, rule, { after }));
      if (!room.has(member)) return false;
      if (!answer.complete) break;
      room.giveMissed(member, answer);
      after = { epoch: answer.epoch, offset: Math.max(answer.head, after.offset) };
      if (room.at !== undefined && room.at.epoch !== after.epoch) await room.catchUp();
      if (room.at !== undefined && room.at.epoch !== after.epoch) break;
      if (room.goLive(member, after)) return true;
    }
    room.goLiveWithGap(member);
    return false;
  }

  /** From what a room keeps that is held here. */
  #answerFromRecent(room: Room | undefined, { after, last = 0 }: ReadQuestion): ReadAnswer | undefined {
    const at = room?.at;
    const messages = after === undefined ? room?.newest(last) : room?.recentAfter(after);
    return at === undefined || messages === undefined ? undefined : { epoch: at.epoch, head: at.offset, complete: true, messages, first: 0 };
  }

  async #ask(name: string, rule: HistoryRule, question: ReadQuestion): Promise<ReadAnswer> {
    let reads = this.#reads.get(name);
    if (reads === undefined) {
      reads = new SharedReads((after) => this.#driver.read(name, rule, after), {
        known: (asked) => this.#answerFromRecent(this.#rooms.get(name), asked),
        read: (after, page) => this.#rooms.get(name)?.keep(after, page),
        idle: () => this.#reads.delete(name),
      });
      this.#reads.set(name, reads);
    }
    return reads.ask(question);
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }

  /** Under the lock: somebody may have come back since the linger began. */
  async #closeIfEmpty(name: string): Promise<void> {
    try {
      await this.#lock.run(name, async () => {
        if (this.#rooms.get(name)?.isEmpty === true) await this.#closeRoom(name);
      });
    } catch (error) {
      this.#context.logger.warn('room could not be let go', { room: name, error: String(error) });
    }
  }

  async #closeRoom(name: string): Promise<void> {
    this.#rooms.get(name)?.close();
    this.#rooms.delete(name);
    await this.#driver.unsubscribe({ kind: 'room', name });
  }
}

/** A position that no history has. */
const NOWHERE: Position = { epoch: '', offset: 0 };
