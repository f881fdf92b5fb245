import type { Feed } from '../session/conversation.ts';
import type { Debtor, Outbox } from '../session/outbox.ts';
import type { Session } from '../session/session.ts';
import { type Arrear, Arrears } from './arrears.ts';
import { formatCursor } from './cursor.ts';
import type { Flushed } from './flush.ts';
import type { WriteBatch, Lane, Passenger } from './lane.ts';
import type { DelayedMessage, Loss } from './loss.ts';

/** Of what a lossy room owes a session so much leaves at once, in bytes. */
const PIECE_BYTES = 64 * 1024;

/** What a member knows of its room. */
export interface Home {
  readonly name: string;
  /** Where the room's last message stands; undefined in a room without history. */
  readonly position: string | undefined;
  /** What was not flushed to it is not due. */
  leave(member: Member): void;
}

/** A session in one room. */
export class Member implements Feed, Passenger, Debtor {
  readonly session: Session;
  readonly room: Home;
  readonly lane: Lane;
  /** The session's rooms, where it may be in several. */
  readonly others: RoomMemberships | undefined;
  index = -1;
  at = 0;
  count = 0;
  /** What the session is owed of a lossy room; undefined while it keeps up. */
  #arrears: Arrears | undefined;

  constructor(session: Session, room: Home, lane: Lane, others: RoomMemberships | undefined) {
    this.session = session;
    this.room = room;
    this.lane = lane;
    this.others = others;
  }

  get outbox(): Outbox {
    return this.session.outbox;
  }

  get isBehind(): boolean {
    return this.index >= 0 && this.at < this.lane.end;
  }

  flush(): void {
    if (this.isBehind) write(this.session, [this], true);
  }

  flushBatch(): void {
    write(this.session, [this], false);
  }

  get isLate(): boolean {
    return this.#arrears !== undefined || this.outbox.isFull;
  }

  get isOwed(): boolean {
    return this.#arrears !== undefined;
  }

  holdBack(message: DelayedMessage): void {
    const { outbox, others } = this;
    outbox.owe(message.frame);
    const share = outbox.limit / Math.max(1, others?.lossy ?? 1);
    this.#miss(this.#owed().add(message, share));
  }

  holdBackGap(frame: Uint8Array): void {
    this.#owed().addGap(frame);
  }

  finish(): void {
    this.flush();
    this.payAll();
  }

  /** Writes what is owed, or how much that was where it is more than may wait; nothing that comes after it. */
  payAll(): void {
    const { outbox } = this;
    if (this.#arrears !== undefined && !outbox.hasRoomFor(this.#arrears.bytes)) this.#miss(this.#arrears.drop());
    while (this.#arrears !== undefined) this.#pay(this.#arrears);
    outbox.forget(this);
  }

  payMore(): void {
    if (this.#arrears !== undefined) this.#pay(this.#arrears);
    if (this.#arrears !== undefined) this.outbox.await(this);
  }

  leave(): void {
    const arrears = this.#arrears;
    this.#arrears = undefined;
    this.outbox.forget(this);
    for (let next = arrears?.take(); next !== undefined; next = arrears?.take()) if ('message' in next) this.outbox.miss(next.message, 'closed');
    if (this.index >= 0) this.room.leave(this);
  }

  #miss(messages: readonly DelayedMessage[]): void {
    for (const { frame } of messages) this.outbox.miss(frame, 'missed');
    this.lane.drops.missed += messages.length;
  }

  #owed(): Arrears {
    if (this.#arrears === undefined) {
      this.#arrears = new Arrears(this.lane.loss as Loss);
      this.outbox.await(this);
    }
    return this.#arrears;
  }

  #pay(arrears: Arrears): void {
    const pieces: Uint8Array[] = [];
    const owed: Uint8Array[] = [];
    for (let bytes = 0; bytes < PIECE_BYTES && !arrears.isEmpty; bytes += pieces.at(-1)?.length ?? 0) this.#take(arrears.take(), pieces, owed);
    if (arrears.isEmpty) this.#arrears = undefined;
    if (pieces.length > 0) this.outbox.pay(pieces, owed);
  }

  #take(next: Arrear | undefined, pieces: Uint8Array[], owed: Uint8Array[]): void {
    if (next === undefined) return;
    if ('message' in next) owed.push(next.message);
    const piece = 'message' in next ? next.message : 'gap' in next ? next.gap : this.lane.missed(next.missed);
    if (piece !== undefined) pieces.push(piece);
  }
}

/** A session in many rooms. */
export class RoomMemberships implements Feed {
  readonly #session: Session;
  readonly #byRoom = new Map<string, Member>();
  /** The room that the session is being brought back into, and how far it has come. */
  returning: { readonly room: string; readonly position: string } | undefined;
  /** Whether all rooms are joined that the session has asked for by its beginning: before, where it stands is not told. */
  isPlaced = false;
  #lossy = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  get size(): number {
    return this.#byRoom.size;
  }

  get rooms(): readonly string[] {
    return [...this.#byRoom.keys()];
  }

  /** How many of them are lossy: each has an equal share of what may wait for the session besides. */
  get lossy(): number {
    return this.#lossy;
  }

  get(room: string): Member | undefined {
    return this.#byRoom.get(room);
  }

  /** Its rooms as they are now. */
  names(): string[] {
    return [...this.#byRoom.keys()];
  }

  add(member: Member): void {
    this.#byRoom.set(member.room.name, member);
    if (member.lane.loss !== undefined) this.#lossy += 1;
  }

  /** What it is due and owed leaves before. */
  remove(member: Member): void {
    member.finish();
    this.#byRoom.delete(member.room.name);
    if (member.lane.loss !== undefined) this.#lossy -= 1;
    member.leave();
  }

  /** Where the session stands once it has all that is due; undefined where its wire does not say so, or while it cannot be said. */
  cursor(room?: string, position?: string): string | undefined {
    if (!this.isPlaced || this.#session.framing.mark === undefined) return undefined;
    const positions = new Map<string, string>();
    for (const member of this.#byRoom.values()) {
      if (member.lane.isDropping || member.isOwed) return undefined;
      if (member.room.position !== undefined) positions.set(member.room.name, member.room.position);
    }
    if (this.returning !== undefined) positions.set(this.returning.room, this.returning.position);
    if (room !== undefined && position !== undefined) positions.set(room, position);
    return formatCursor(positions);
  }

  /** What tells it to the client; undefined like {@link cursor}. */
  mark(): Uint8Array | undefined {
    const cursor = this.cursor();
    return cursor === undefined ? undefined : this.#session.framing.mark?.(cursor);
  }

  flush(): void {
    this.#flush(true);
  }

  /** The next batch of every room, as one write; `lanes`: only those have one. Answers how many rooms had one. */
  flushBatch(lanes?: readonly Flushed[]): number {
    // Where a session stands can be told when it has all that its rooms have for it.
    return this.#flush(this.#session.framing.mark !== undefined, lanes);
  }

  finish(): void {
    this.flush();
    for (const member of this.#byRoom.values()) member.finish();
  }

  leave(): void {
    for (const member of this.#byRoom.values()) member.leave();
    this.#byRoom.clear();
    this.#lossy = 0;
  }

  #flush(toEnd: boolean, lanes?: readonly Flushed[]): number {
    const behind = lanes !== undefined && lanes.length < this.#byRoom.size ? this.#behindIn(lanes) : this.#behind();
    if (behind.length > 0) write(this.#session, behind, toEnd, this);
    return behind.length;
  }

  #behind(): readonly Member[] {
    const behind: Member[] = [];
    for (const member of this.#byRoom.values()) if (member.isBehind) behind.push(member);
    return behind;
  }

  #behindIn(lanes: readonly Flushed[]): readonly Member[] {
    const behind: Member[] = [];
    for (const lane of lanes) {
      const member = this.#byRoom.get(lane.room);
      if (member?.lane === lane && member.isBehind) behind.push(member);
    }
    return behind;
  }
}

function write(session: Session, members: readonly Member[], toEnd: boolean, all?: RoomMemberships): void {
  const batch: WriteBatch = { pieces: [], messages: 0 };
  const isLossy = all === undefined ? members[0]?.lane.loss !== undefined : all.lossy > 0;
  const lossy: WriteBatch = isLossy ? { pieces: [], messages: 0 } : batch;
  const stays = members.every((member) => member.lane.take(member, member.lane.loss === undefined ? batch : lossy, toEnd));
  const last = lossy.pieces.length > 0 ? lossy : batch;
  const mark = last.pieces.length > 0 ? all?.mark() : undefined;
  if (mark !== undefined) last.pieces.push(mark);
  writeBatch(session, batch, false);
  if (lossy !== batch) writeBatch(session, lossy, true);
  if (stays) return;
  for (const member of members) member.payAll();
  session.closeAtGap();
}

function writeBatch({ outbox }: Session, { pieces, messages }: WriteBatch, lossy: boolean): void {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) outbox.write(first, messages, lossy);
  else if (pieces.length > 1) outbox.writeAll(pieces, messages, lossy);
}
