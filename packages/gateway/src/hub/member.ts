import type { Feed } from '../session/conversation.ts';
import type { Session } from '../session/session.ts';
import type { Lane } from './lane.ts';
import type { HubRoom } from './room.ts';

/** What is to be written to one session at once. */
export interface Batch {
  readonly pieces: Uint8Array[];
  messages: number;
}

/** A session in one room. */
export class Member implements Feed {
  readonly session: Session;
  readonly room: HubRoom;
  readonly lane: Lane;
  /** The session's rooms, where it may be in several. */
  readonly others: Members | undefined;
  /** Its place in the lane; -1 once it has left. The lane's own, like the two counts. */
  index = -1;
  /** How far of the lane's stream it has been written: bytes, and messages. */
  at = 0;
  count = 0;

  constructor(session: Session, room: HubRoom, lane: Lane, others: Members | undefined) {
    this.session = session;
    this.room = room;
    this.lane = lane;
    this.others = others;
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
