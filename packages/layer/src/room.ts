import type { LayerLogger, LayerStats, PositionedMessage, RoomEvent, RoomListener } from './contract.ts';
import type { Clock } from './clock.ts';
import type { Driver, HistoryPage, Stamp, TopicSink } from './driver/driver.ts';
import { isLayerError } from './errors.ts';
import type { HistoryRule } from './history-rules.ts';
import { formatPosition, type Position } from './position.ts';
import { RecentMessages, type KeptMessage } from './recent-messages.ts';
import { MESSAGE_BYTES, ROOM_BYTES, type RoomBytes } from './room-bytes.ts';
import type { ReadAnswer, ReadPage } from './shared-reads.ts';

/** One listener of a room. */
interface Member {
  readonly listener: RoomListener;
  /** Whether it is given what comes; else it is being given what it missed. */
  live: boolean;
  /** This member has had everything up to here, though the room itself may not yet. */
  through: Position | undefined;
}

interface HeldPublication {
  readonly payload: Uint8Array;
  readonly stamp: Stamp | undefined;
  readonly traceparent: string | undefined;
}

/** What the rooms of one process share. */
export interface RoomContext {
  readonly driver: Driver;
  readonly stats: LayerStats;
  readonly logger: LayerLogger;
  readonly clock: Clock;
  readonly bytes: RoomBytes;
}

/**
 * One room in this process: gives each event to every listener in one order, and where the room has a history finds out from the messages'
 * positions what was missed, reads it, and tells a gap only for what is no longer there. It keeps the newest messages for who comes back.
 */
export class Room implements TopicSink {
  readonly name: string;
  readonly #rule: HistoryRule | undefined;
  readonly #context: RoomContext;
  readonly #members = new Set<Member>();
  /** Where the listeners stand in the history; undefined before the first reading of it. */
  #at: Position | undefined;
  /** The epoch before that one. */
  #left: string | undefined;
  /** From there backwards; undefined until there is something to keep. */
  #recent: RecentMessages | undefined;
  /** Live messages that wait for the history; undefined while none is being read. */
  #waiting: HeldPublication[] | undefined;
  /** Resolves when it has been read. */
  #reading: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  /** Of those that wait some without a position were dropped: the history does not have them. */
  #lostUnpositioned = false;
  #readsAgain = false;
  /** A repair could not be made while the broker was away. */
  #repairIsDue = false;
  #closed = false;

  constructor(name: string, rule: HistoryRule | undefined, context: RoomContext) {
    this.name = name;
    this.#rule = rule;
    this.#context = context;
    if (rule !== undefined) this.#waiting = [];
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Finds out where the history stands. Before it, no live message of a room with history is given to anybody. */
  async start(): Promise<void> {
    if (this.#rule === undefined) return;
    const page = await this.#context.driver.read(this.name, this.#rule);
    this.#beginAt({ epoch: page.epoch, offset: page.head });
    this.#receiveWaiting();
  }

  /** One that is not `live` is given nothing that comes before {@link goLive}. */
  add(listener: RoomListener, live: boolean): Member {
    const member: Member = { listener, live, through: undefined };
    this.#members.add(member);
    return member;
  }

  has(member: Member): boolean {
    return this.#members.has(member);
  }

  /** False where it was removed before. */
  remove(member: Member): boolean {
    return this.#members.delete(member);
  }

  positionOf(member: Member): Position | undefined {
    if (this.#at === undefined) return member.through;
    if (member.through?.epoch !== this.#at.epoch) return this.#at;
    return member.through.offset > this.#at.offset ? member.through : this.#at;
  }

  /** What followed `after`, up to where the listeners stand; undefined where not all of it is kept here. */
  recentAfter(after: Position): readonly KeptMessage[] | undefined {
    if (this.#at === undefined) return undefined;
    if (after.epoch === this.#at.epoch && after.offset === this.#at.offset) return [];
    return this.#recent?.after(after, this.#context.clock.now());
  }

  /** The newest so many; undefined where there may be more than are kept here. */
  newest(count: number): readonly KeptMessage[] | undefined {
    if (this.#at === undefined) return undefined;
    return count === 0 ? [] : this.#recent?.newest(count, this.#context.clock.now());
  }

  /** Where the listeners stand. */
  get at(): Position | undefined {
    return this.#at;
  }

  /** What followed `after` was read, for somebody who came back: others will. */
  keep(after: Position, { epoch, complete, messages }: ReadPage): void {
    const first = messages[0];
    if (this.#closed || first === undefined || this.#rule === undefined || epoch !== this.#at?.epoch) return;
    const from = complete ? after.offset : first.offset - 1;
    this.#recentOf(this.#rule, this.#at).putBefore({ epoch, offset: from }, messages, this.#context.clock.now());
  }

  /** Gives one who is not live what it missed; it may leave meanwhile. */
  giveMissed(member: Member, { messages, first }: ReadAnswer): void {
    for (let index = first; index < messages.length && this.#members.has(member); index += 1) {
      this.#call(member, (messages[index] as KeptMessage).message);
    }
  }

  /** One who has had everything up to this position goes live; false where the others have had more. */
  goLive(member: Member, through: Position): boolean {
    if (this.#at !== undefined && this.#at.offset > through.offset) return false;
    member.through = through;
    member.live = true;
    return true;
  }

  /** Goes live with a gap: what came before may be missing. */
  goLiveWithGap(member: Member): void {
    member.live = true;
    this.#context.stats.gaps += 1;
    this.#call(member, this.#gapHere());
  }

  message(payload: Uint8Array, stamp?: Stamp, traceparent?: string): void {
    if (this.#closed) return;
    this.#context.stats.received += 1;
    if (this.#rule !== undefined && stamp === undefined) this.#context.stats.unpositioned += 1;
    this.#receive(payload, stamp, traceparent);
  }

  gap(): void {
    if (this.#closed) return;
    if (this.#rule === undefined) this.#tellGap();
    else this.#repair();
  }

  /** Somebody has found the history in another epoch than the listeners stand in: resolves once they stand there too, after a gap, or that cannot be read. */
  async catchUp(): Promise<void> {
    this.#repair();
    while (this.#waiting !== undefined && !this.#closed) await this.#reading;
  }

  /** The broker is back: what could not be repaired meanwhile is repaired now, also where nothing of this room was missed on its own connection. */
  reconnected(): void {
    if (this.#repairIsDue && !this.#closed) this.#repair();
  }

  /** Everything was deleted in the broker: what is kept here is no history any more. */
  forgetRecent(): void {
    if (this.#at !== undefined) this.#recent?.beginAt(this.#at);
  }

  close(): void {
    this.#closed = true;
    this.#members.clear();
    this.#takeWaiting();
    this.#recent?.close();
  }

  #receive(payload: Uint8Array, stamp: Stamp | undefined, traceparent: string | undefined): void {
    if (this.#waiting !== undefined) this.#keepWaiting({ payload, stamp, traceparent });
    else if (stamp === undefined) this.#tell(traceparent === undefined ? { payload } : { payload, traceparent });
    else this.#takeStamped(payload, stamp, traceparent);
  }

  /** What passes the bound is read from the history once more. */
  #keepWaiting(message: HeldPublication): void {
    if (this.#waiting === undefined) return;
    const bytes = message.payload.length + MESSAGE_BYTES;
    if (this.#waitingBytes + bytes <= ROOM_BYTES && this.#context.bytes.makeRoomFor(bytes)) {
      this.#waiting.push(message);
      this.#waitingBytes += bytes;
      this.#context.bytes.count(bytes);
    } else if (message.stamp === undefined) this.#lostUnpositioned = true;
    else this.#readsAgain = true;
  }

  #takeWaiting(): readonly HeldPublication[] {
    const held = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#context.bytes.count(-this.#waitingBytes);
    this.#waitingBytes = 0;
    return held;
  }

  /** Decides by the positions whether this message is the next one, an old one, or shows that some were missed. */
  #takeStamped(payload: Uint8Array, stamp: Stamp, traceparent: string | undefined): void {
    const at = this.#at;
    // A message of the epoch that was left is late, as where the history was read on another connection: which of the two it is the history tells.
    const isLate = at !== undefined && stamp.epoch === this.#left;
    if (!isLate && stamp.epoch !== at?.epoch) this.#enterEpoch({ epoch: stamp.epoch, offset: stamp.offset - 1 });
    else if (!isLate && stamp.offset <= at.offset) return;
    else if (isLate || stamp.previous > at.offset) {
      this.#repair();
      this.#keepWaiting({ payload, stamp, traceparent });
      return;
    }
    this.#advance(stamp, payload, traceparent);
  }

  /** The next message. It is kept longer than what it came in, so it gets bytes of its own. Its trace is not kept: who comes back later is no part of it. */
  #advance({ epoch, offset }: Position, payload: Uint8Array, traceparent?: string): void {
    if (this.#rule === undefined) return;
    const at = { epoch, offset };
    const message: PositionedMessage = {
      payload: payload.byteLength === payload.buffer.byteLength ? payload : new Uint8Array(payload),
      position: formatPosition(at),
    };
    this.#recentOf(this.#rule, this.#at ?? at).append(offset, message, this.#context.clock.now());
    this.#at = at;
    this.#tell(traceparent === undefined ? message : { ...message, traceparent }, at);
  }

  #recentOf(rule: HistoryRule, at: Position): RecentMessages {
    if (this.#recent !== undefined) return this.#recent;
    this.#recent = new RecentMessages(rule, this.#context.bytes);
    this.#recent.beginAt(at);
    return this.#recent;
  }

  #beginAt(at: Position): void {
    this.#at = at;
    this.#recent?.beginAt(at);
  }

  /** The broker lost data: what there was between the epochs nobody can tell. */
  #enterEpoch(position: Position): void {
    const before = this.#at;
    this.#beginAt(position);
    if (before === undefined) return;
    this.#left = before.epoch;
    this.#tellGap();
  }

  #repair(): void {
    if (this.#waiting !== undefined) {
      this.#readsAgain = true;
      return;
    }
    this.#repairIsDue = false;
    this.#waiting = [];
    this.#reading = this.#readMissed();
  }

  async #readMissed(): Promise<void> {
    if (this.#rule === undefined) return;
    try {
      const page = await this.#read(this.#rule);
      if (!this.#closed) this.#adopt(page);
    } catch (error) {
      this.#onUnreadable(error);
    }
    this.#receiveWaiting();
  }

  /** What followed where the listeners stand; of an epoch that the history began with all that it has, so that one gap covers what it has no longer. */
  async #read(rule: HistoryRule): Promise<HistoryPage> {
    const { driver } = this.#context;
    let page = await driver.read(this.name, rule, this.#at);
    while (this.#at !== undefined && page.epoch !== this.#at.epoch && page.fresh === true && page.head > 0) {
      const { epoch } = page;
      page = await driver.read(this.name, rule, { epoch, offset: 0 });
      if (page.epoch === epoch) return { ...page, fresh: true };
    }
    return page;
  }

  #onUnreadable(error: unknown): void {
    if (this.#closed) return;
    // Away: on return it is read, and the position still says from where. Else nobody can tell what was missed.
    this.#repairIsDue = isLayerError(error, 'LAYER_AWAY') || isLayerError(error, 'OUTCOME_UNKNOWN');
    if (this.#repairIsDue) this.#waiting = this.#waiting?.filter((message) => message.stamp === undefined);
    else {
      this.#context.logger.error('history could not be read', { room: this.name, error: String(error) });
      this.#at = undefined;
      this.#tellGap();
    }
    this.#readsAgain = false;
  }

  #adopt(page: HistoryPage): void {
    const { epoch, head, messages } = page;
    const before = this.#at;
    if (epoch === before?.epoch) this.#adoptMore(page, before);
    else this.#adoptEpoch(page, before);
    const from = this.#at?.offset ?? 0;
    for (const { offset, payload } of messages) if (offset > from) this.#advance({ epoch, offset }, payload);
    if (epoch !== before?.epoch) return;
    this.#at = { epoch, offset: Math.max(this.#at?.offset ?? 0, head) };
    this.#recent?.reach(this.#at.offset);
  }

  /** What followed `at`, or after a gap what is kept of that. */
  #adoptMore(page: HistoryPage, { epoch, offset }: Position): void {
    this.#waiting = this.#waiting?.filter(({ stamp }) => stamp === undefined || stamp.epoch !== this.#left);
    if (page.complete) {
      this.#context.stats.repaired += 1;
      return;
    }
    this.#beginAt({ epoch, offset: Math.max(offset, beginOf(page)) });
    this.#tellGap();
  }

  /** After the gap goes on what has come in the new epoch, and nothing of the old one any more. Where the history has more than that only what comes live is known to be new. */
  #adoptEpoch(page: HistoryPage, before: Position | undefined): void {
    const { epoch, head, fresh } = page;
    this.#waiting = this.#waiting?.filter(({ stamp }) => stamp === undefined || stamp.epoch === epoch);
    const first = this.#waiting?.find(({ stamp }) => stamp !== undefined)?.stamp;
    const isKnown = fresh === true && before !== undefined;
    this.#enterEpoch({ epoch, offset: isKnown ? beginOf(page) : Math.min(head, (first?.offset ?? Infinity) - 1) });
  }

  #receiveWaiting(): void {
    const again = this.#readsAgain;
    const lost = this.#lostUnpositioned;
    this.#readsAgain = false;
    this.#lostUnpositioned = false;
    for (const message of this.#takeWaiting()) this.#receive(message.payload, message.stamp, message.traceparent);
    if (this.#closed) return;
    if (lost) this.#tellGap();
    if (again) this.#repair();
  }

  #tellGap(): void {
    this.#context.stats.gaps += 1;
    this.#tell(this.#gapHere());
  }

  /** It says where the room goes on, where that is known. */
  #gapHere(): RoomEvent {
    return Object.freeze(this.#at === undefined ? { gap: true } : { gap: true, position: formatPosition(this.#at) });
  }

  #tell(event: RoomEvent, at?: Position): void {
    for (const member of this.#members) if (member.live) this.#give(member, event, at);
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
      this.#context.logger.error('a room listener threw', { room: this.name, error: String(error) });
    }
  }
}

/** Before the oldest message of a page; where it has none, at its head. */
function beginOf({ head, messages }: HistoryPage): number {
  return (messages[0]?.offset ?? head + 1) - 1;
}
