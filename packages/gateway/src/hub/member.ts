import type { Feed } from '../session/conversation.ts';
import type { Outbox } from '../session/outbox.ts';
import type { Session } from '../session/session.ts';
import { formatCursor } from './cursor.ts';
import type { Batch, Lane, Passenger } from './lane.ts';

/** What a member knows of its room. */
export interface Home {
  readonly name: string;
  /** Where the room's last message stands; undefined in a room without history. */
  readonly position: string | undefined;
  /** What was not flushed to it is not due. */
  leave(member: Member): void;
}

/** A session in one room. */
export class Member implements Feed, Passenger {
  readonly session: Session;
  readonly room: Home;
  readonly lane: Lane;
  /** The session's rooms, where it may be in several. */
  readonly others: Members | undefined;
  index = -1;
  at = 0;
  count = 0;

  constructor(session: Session, room: Home, lane: Lane, others: Members | undefined) {
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

  leave(): void {
    if (this.index >= 0) this.room.leave(this);
  }
}

/** A session in many rooms. */
export class Members implements Feed {
  readonly #session: Session;
  readonly #byRoom = new Map<string, Member>();
  /** The room that the session is being brought back into, and how far it has come. */
  returning: { readonly room: string; readonly position: string } | undefined;
  /** Whether all rooms are joined that the session has asked for by its beginning: before, where it stands is not told. */
  isPlaced = false;

  constructor(session: Session) {
    this.#session = session;
  }

  get size(): number {
    return this.#byRoom.size;
  }

  get rooms(): readonly string[] {
    return [...this.#byRoom.keys()];
  }

  get(room: string): Member | undefined {
    return this.#byRoom.get(room);
  }

  add(member: Member): void {
    this.#byRoom.set(member.room.name, member);
  }

  remove(member: Member): void {
    this.#byRoom.delete(member.room.name);
    member.leave();
  }

  /** Where the session stands once it has all that is due; undefined where its wire does not say so, or while it cannot be said. */
  cursor(room?: string, position?: string): string | undefined {
    if (!this.isPlaced || this.#session.framing.mark === undefined) return undefined;
    const positions = new Map<string, string>();
    for (const member of this.#byRoom.values()) {
      if (member.lane.isDropping) return undefined;
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

  /** The next batch of every room, as one write. */
  flushBatch(): void {
    // Where a session stands can be told when it has all that its rooms have for it.
    this.#flush(this.#session.framing.mark !== undefined);
  }

  leave(): void {
    for (const member of this.#byRoom.values()) member.leave();
    this.#byRoom.clear();
  }

  #flush(toEnd: boolean): void {
    let behind: Member[] | undefined;
    for (const member of this.#byRoom.values()) if (member.isBehind) (behind ??= []).push(member);
    if (behind !== undefined) write(this.#session, behind, toEnd, this);
  }
}

function write(session: Session, members: readonly Member[], toEnd: boolean, all?: Members): void {
  const batch: Batch = { pieces: [], messages: 0 };
  const stays = members.every((member) => member.lane.take(member, batch, toEnd));
  const mark = all?.mark();
  if (mark !== undefined && batch.pieces.length > 0) batch.pieces.push(mark);
  const [first] = batch.pieces;
  if (batch.pieces.length === 1 && first !== undefined) session.outbox.write(first, batch.messages);
  else if (batch.pieces.length > 1) session.outbox.writeAll(batch.pieces, batch.messages);
  if (!stays) session.closeAtGap();
}
