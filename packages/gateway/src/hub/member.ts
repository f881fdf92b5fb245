import type { Feed } from '../session/conversation.ts';
import type { Outbox } from '../session/outbox.ts';
import type { Session } from '../session/session.ts';
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

  constructor(session: Session) {
    this.#session = session;
  }

  get size(): number {
    return this.#byRoom.size;
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

  flush(): void {
    this.#flush(true);
  }

  /** The next batch of every room, as one write. */
  flushBatch(): void {
    this.#flush(false);
  }

  leave(): void {
    for (const member of this.#byRoom.values()) member.leave();
    this.#byRoom.clear();
  }

  #flush(toEnd: boolean): void {
    let behind: Member[] | undefined;
    for (const member of this.#byRoom.values()) if (member.isBehind) (behind ??= []).push(member);
    if (behind !== undefined) write(this.#session, behind, toEnd);
  }
}

function write(session: Session, members: readonly Member[], toEnd: boolean): void {
  const batch: Batch = { pieces: [], messages: 0 };
  const stays = members.every((member) => member.lane.take(member, batch, toEnd));
  const [first] = batch.pieces;
  if (batch.pieces.length === 1 && first !== undefined) session.outbox.write(first, batch.messages);
  else if (batch.pieces.length > 1) session.outbox.writeAll(batch.pieces, batch.messages);
  if (!stays) session.closeAtGap();
}
