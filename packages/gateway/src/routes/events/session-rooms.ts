import { Members } from '../../hub/member.ts';
import type { Encoding } from '../../hub/encoding.ts';
import type { Hub } from '../../hub.ts';
import type { Session } from '../../session/session.ts';

export interface RoomJoin {
  readonly room: string;
  readonly since?: string;
  readonly last?: number;
}

/** The rooms that a worker has a session join: their messages reach the client as frames of its own, and pass no worker. */
export class SessionRooms {
  readonly #session: Session;
  readonly #hub: Hub;
  readonly #encoding: Encoding;
  readonly #limit: number;
  readonly #members: Members;
  /** Joins and leaves take effect one after the other. */
  #last: Promise<void> = Promise.resolve();

  /** `limit`: rooms of one session. */
  constructor(session: Session, hub: Hub, encoding: Encoding, limit: number) {
    this.#session = session;
    this.#hub = hub;
    this.#encoding = encoding;
    this.#limit = limit;
    this.#members = new Members(session);
    session.feed = this.#members;
  }

  /** Resolves false where the session is in too many rooms. Rejects as the layer does. */
  join(join: RoomJoin): Promise<boolean> {
    return this.#next(() => this.#join(join));
  }

  leave(room: string): Promise<void> {
    return this.#next(async () => {
      const member = this.#members.get(room);
      if (member === undefined) return;
      member.flush();
      this.#members.remove(member);
    });
  }

  async #join({ room: name, since }: RoomJoin): Promise<boolean> {
    if (this.#members.get(name) !== undefined && since === undefined) return true;
    if (this.#members.get(name) === undefined && this.#members.size >= this.#limit) return false;
    const room = await this.#hub.hold(name);
    if (since === undefined) {
      if (this.#session.isOpen) this.#members.add(room.join(this.#session, this.#encoding, this.#members));
      else room.release();
      return true;
    }
    let isUsed = false;
    try {
      await this.#hub.recover(name, since, ({ events, position }) => {
        isUsed = true;
        if (!this.#session.isOpen) return room.release();
        const known = this.#members.get(name);
        known?.flush();
        if (known !== undefined) this.#members.remove(known);
        const encoder = this.#encoding.encoder(name);
        const missed = events.flatMap((event) => (event.gap === true ? [] : encoder.message(event)));
        if (missed.length > 0) this.#session.sendAll(missed, missed.length);
        if (this.#session.isOpen) this.#members.add(room.join(this.#session, this.#encoding, this.#members, position));
        else room.release();
      });
    } finally {
      if (!isUsed) room.release();
    }
    return true;
  }

  #next<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}
