import type { LayerLogger, LayerStats, RoomEvent, RoomListener } from './contract.ts';
import type { Driver, HistoryPage, Stamp, TopicSink } from './driver/driver.ts';
import { isLayerError } from './errors.ts';
import type { HistoryRule } from './history.ts';
import { formatPosition, type Position } from './position.ts';

/** Live messages kept while the history is being read; what passes it is read from the history once more. */
const MAX_HELD = 10_000;
const GAP: RoomEvent = Object.freeze({ gap: true });

/** One listener of a room. */
interface Member {
  readonly listener: RoomListener;
  /** Events kept back while the history is replayed to this member. */
  held: Arrived[] | undefined;
  /** More came than is kept back. */
  overflowed: boolean;
  /** This member has had everything up to here, though the room itself may not yet. */
  through: Position | undefined;
}

interface Arrived {
  readonly event: RoomEvent;
  readonly at: Position | undefined;
}

interface Held {
  readonly payload: Uint8Array;
  readonly stamp: Stamp | undefined;
}

/**
 * One room in this process: gives each event to every listener in one order, and where the room has a history finds out from the messages'
 * positions what was missed, reads it, and tells a gap only for what is no longer there.
 */
export class Room implements TopicSink {
  readonly name: string;
  readonly #rule: HistoryRule | undefined;
  readonly #driver: Driver;
  readonly #stats: LayerStats;
  readonly #logger: LayerLogger;
  readonly #members = new Set<Member>();
  /** Where the listeners stand in the history; undefined before the first reading of it. */
  #at: Position | undefined;
  /** Live messages that wait for the history; undefined while none is being read. */
  #held: Held[] | undefined;
  #again = false;
  /** A repair could not be made while the broker was away. */
  #stale = false;
  #closed = false;

  constructor(name: string, rule: HistoryRule | undefined, driver: Driver, stats: LayerStats, logger: LayerLogger) {
    this.name = name;
    this.#rule = rule;
    this.#driver = driver;
    this.#stats = stats;
    this.#logger = logger;
    if (rule !== undefined) this.#held = [];
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Finds out where the history stands. Before it, no live message of a room with history is given to anybody. */
  async start(): Promise<void> {
    if (this.#rule === undefined) return;
    const page = await this.#driver.read(this.name, this.#rule);
    this.#at = { epoch: page.epoch, offset: page.head };
    this.#releaseHeld();
  }

  add(listener: RoomListener, replays: boolean): Member {
    const member: Member = { listener, held: replays ? [] : undefined, overflowed: false, through: undefined };
    this.#members.add(member);
    return member;
  }

  /** False where it was removed before. */
  remove(member: Member): boolean {
    return this.#members.delete(member);
  }

  positionOf(member: Member): Position | undefined {
    if (member.through === undefined || member.through.epoch !== this.#at?.epoch) return this.#at;
    return member.through.offset > this.#at.offset ? member.through : this.#at;
  }

  /** Gives the member what followed `since`, then what came in the meantime; false, and a gap, where not all of it is kept. */
  async replay(member: Member, since: Position | undefined): Promise<boolean> {
    const complete = since !== undefined && this.#rule !== undefined && (await this.#replayFrom(member, since, this.#rule));
    if (!this.#members.has(member)) return false;
    const held = member.held ?? [];
    member.held = undefined;
    if (!complete) {
      this.#stats.gaps += 1;
      this.#call(member, GAP);
      if (member.overflowed) return false;
    }
    for (const { event, at } of held) if (this.#members.has(member)) this.#give(member, event, at);
    return complete;
  }

  async #replayFrom(member: Member, since: Position, rule: HistoryRule): Promise<boolean> {
    const page = await this.#driver.read(this.name, rule, since);
    if (!page.complete) return false;
    for (const { offset, payload } of page.messages) {
      if (this.#members.has(member)) this.#call(member, { payload, position: formatPosition({ epoch: page.epoch, offset }) });
    }
    member.through = { epoch: page.epoch, offset: page.head };
    if (!member.overflowed) return true;
    // More came meanwhile than is kept back: those with a position are read from the history too.
    member.overflowed = false;
    member.held = member.held?.filter((arrived) => arrived.at === undefined);
    return this.#replayFrom(member, member.through, rule);
  }

  message(payload: Uint8Array, stamp?: Stamp): void {
    if (this.#closed) return;
    this.#stats.received += 1;
    if (this.#rule !== undefined && stamp === undefined) this.#stats.unpositioned += 1;
    this.#receive(payload, stamp);
  }

  gap(): void {
    if (this.#closed) return;
    if (this.#rule === undefined) this.#tellGap();
    else this.#repair();
  }

  /** The broker is back: what could not be repaired meanwhile is repaired now, also where nothing of this room was missed on its own connection. */
  reconnected(): void {
    if (this.#stale && !this.#closed) this.#repair();
  }

  close(): void {
    this.#closed = true;
    this.#members.clear();
    this.#held = undefined;
  }

  #receive(payload: Uint8Array, stamp: Stamp | undefined): void {
    if (this.#held !== undefined) this.#hold({ payload, stamp });
    else if (stamp === undefined) this.#tell({ payload }, undefined);
    else this.#take(payload, stamp);
  }

  #hold(message: Held): void {
    if (this.#held === undefined) return;
    if (this.#held.length < MAX_HELD) this.#held.push(message);
    else this.#again = true;
  }

  /** Decides by the positions whether this message is the next one, an old one, or shows that some were missed. */
  #take(payload: Uint8Array, stamp: Stamp): void {
    const at = this.#at;
    if (at === undefined || stamp.epoch !== at.epoch) this.#enterEpoch(stamp);
    else if (stamp.offset <= at.offset) return;
    else if (stamp.previous > at.offset) {
      this.#repair();
      this.#hold({ payload, stamp });
      return;
    }
    this.#at = { epoch: stamp.epoch, offset: stamp.offset };
    this.#tell({ payload, position: formatPosition(stamp) }, this.#at);
  }

  /** The broker lost data: what there was between the epochs nobody can tell. */
  #enterEpoch(position: Position): void {
    const first = this.#at === undefined;
    this.#at = { epoch: position.epoch, offset: 0 };
    if (!first) this.#tellGap();
  }

  #repair(): void {
    if (this.#held !== undefined) {
      this.#again = true;
      return;
    }
    this.#stale = false;
    this.#held = [];
    void this.#readMissed();
  }

  async #readMissed(): Promise<void> {
    if (this.#rule === undefined) return;
    try {
      const page = await this.#driver.read(this.name, this.#rule, this.#at);
      if (!this.#closed) this.#adopt(page);
    } catch (error) {
      this.#unread(error);
    }
    this.#releaseHeld();
  }

  #unread(error: unknown): void {
    if (this.#closed) return;
    // Away: on return it is read, and the position still says from where. Else nobody can tell what was missed.
    this.#stale = isLayerError(error, 'LAYER_AWAY') || isLayerError(error, 'OUTCOME_UNKNOWN');
    if (this.#stale) this.#held = this.#held?.filter((message) => message.stamp === undefined);
    else {
      this.#logger.error('history could not be read', { room: this.name, error: String(error) });
      this.#at = undefined;
      this.#tellGap();
    }
    this.#again = false;
  }

  #adopt(page: HistoryPage): void {
    if (page.epoch !== this.#at?.epoch) {
      this.#adoptEpoch(page);
      return;
    }
    if (page.complete) this.#stats.repaired += 1;
    else this.#tellGap();
    for (const { offset, payload } of page.messages) {
      if (offset <= this.#at.offset) continue;
      this.#at = { epoch: page.epoch, offset };
      this.#tell({ payload, position: formatPosition(this.#at) }, this.#at);
    }
    this.#at = { epoch: page.epoch, offset: Math.max(this.#at.offset, page.head) };
  }

  /** After the gap goes on what has come live in the new epoch, and nothing of the old one any more. */
  #adoptEpoch({ epoch, head, fresh }: HistoryPage): void {
    this.#held = this.#held?.filter(({ stamp }) => stamp === undefined || stamp.epoch === epoch);
    const first = this.#held?.find(({ stamp }) => stamp !== undefined)?.stamp;
    this.#enterEpoch({ epoch, offset: head });
    this.#at = { epoch, offset: fresh === true ? 0 : Math.min(head, first?.previous ?? head) };
    if (fresh === true && head > 0) this.#again = true;
  }

  #releaseHeld(): void {
    const held = this.#held ?? [];
    const again = this.#again;
    this.#held = undefined;
    this.#again = false;
    for (const message of held) this.#receive(message.payload, message.stamp);
    if (again && !this.#closed) this.#repair();
  }

  #tellGap(): void {
    this.#stats.gaps += 1;
    this.#tell(GAP, undefined);
  }

  #tell(event: RoomEvent, at: Position | undefined): void {
    for (const member of this.#members) {
      if (member.held === undefined) this.#give(member, event, at);
      else if (member.held.length < MAX_HELD) member.held.push({ event, at });
      else member.overflowed = true;
    }
  }

  #give(member: Member, event: RoomEvent, at: Position | undefined): void {
    if (at !== undefined && member.through !== undefined) {
      if (at.epoch === member.through.epoch && at.offset <= member.through.offset) return;
      member.through = undefined;
    }
    this.#call(member, event);
  }

  #call(member: Member, event: RoomEvent): void {
    try {
      member.listener(event);
    } catch (error) {
      this.#logger.error('a room listener threw', { room: this.name, error: String(error) });
    }
  }
}
