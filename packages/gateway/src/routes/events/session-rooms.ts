import type { RoomEvent } from '@busgate/layer';
import type { Encoding } from '../../hub/encoding.ts';
import { RoomMemberships } from '../../hub/member.ts';
import type { HubRoom } from '../../hub/room.ts';
import type { Hub } from '../../hub.ts';
import { eventSheet } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import { replay } from '../replay.ts';
import { gapOf } from '../gap.ts';

export interface RoomJoin {
  readonly room: string;
  /** Where the client stood. */
  readonly since?: string;
  /** Where it does not say that: so many of the newest messages first. */
  readonly last?: number;
}

/** What the rooms of one session need. */
export interface SessionRoomsContext {
  readonly hub: Hub;
  readonly encoding: Encoding;
  /** Rooms of one session. */
  readonly limit: number;
  /** Resolves when what the session was sent has left, or nearly; false where it has ended. */
  readonly drained: () => Promise<boolean>;
}

/** The rooms that a worker has a session join: their messages reach the client as frames of its own, and pass no worker. */
export class SessionRooms {
  readonly #session: Session;
  readonly #context: SessionRoomsContext;
  readonly #members: RoomMemberships;
  /** Joins and leaves take effect one after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(session: Session, context: SessionRoomsContext) {
    this.#session = session;
    this.#context = context;
    this.#members = new RoomMemberships(session);
    session.feed = this.#members;
  }

  get names(): readonly string[] {
    return this.#members.rooms;
  }

  /** Resolves false where the session is in too many rooms. Rejects as the layer does. */
  join(join: RoomJoin): Promise<boolean> {
    return this.#next(() => this.#join(join));
  }

  leave(room: string): Promise<void> {
    return this.#next(async () => this.#takeOut(room));
  }

  async #join({ room: name, since, last }: RoomJoin): Promise<boolean> {
    const isKnown = this.#members.get(name) !== undefined;
    if (isKnown && since === undefined && last === undefined) return true;
    if (!isKnown && this.#members.size >= this.#context.limit) return false;
    const room = await this.#context.hub.hold(name);
    let isEntered = false;
    try {
      const from = since ?? (await this.#before(room, last));
      isEntered = from === undefined ? this.#add(room) : await this.#replay(room, from);
    } finally {
      if (!isEntered) room.release();
    }
    return true;
  }

  /** Where the newest so many messages of a room begin; undefined where nobody asks, or the room keeps none. */
  async #before({ name, position }: HubRoom, last: number | undefined): Promise<string | undefined> {
    return last === undefined || position === undefined ? undefined : this.#context.hub.before(name, last);
  }

  /** Sends what was missed, as fast as the client reads, and goes live with neither gap nor doubles. Where the session is in the room already it begins anew. */
  async #replay(room: HubRoom, since: string): Promise<boolean> {
    const { hub, encoding, drained } = this.#context;
    const encoder = encoding.encoder(room.name);
    const tellsGaps = this.#session.framing.mark !== undefined;
    let isBegun = false;
    const send = (events: readonly RoomEvent[]): void => {
      isBegun = true;
      this.#takeOut(room.name);
      const missed = events.flatMap((event) => (event.gap !== true ? encoder.message(event) : tellsGaps ? eventSheet('gap', gapOf(room.name, 1)) : []));
      if (missed.length > 0) this.#session.sendAll(missed, events.filter(({ gap }) => gap !== true).length);
    };
    let isEntered = false;
    try {
      const reader = { session: this.#session, send, drained };
      await replay(hub, room, since, reader, ({ events, position }) => {
        send(events);
        isEntered = this.#add(room, position);
      });
    } catch (error) {
      // Half of what was missed has been sent, and the rest cannot be had: it goes on with what comes.
      if (!isBegun || isEntered) throw error;
      isEntered = this.#add(room);
    }
    return isEntered;
  }

  /** False where the session has ended, and the room is not its. */
  #add(room: HubRoom, position?: string): boolean {
    if (!this.#session.isOpen) return false;
    this.#takeOut(room.name);
    this.#members.add(room.join(this.#session, this.#context.encoding, this.#members, position));
    return true;
  }

  /** Ends a membership, with what it is due sent. */
  #takeOut(room: string): void {
    const member = this.#members.get(room);
    if (member !== undefined) this.#members.remove(member);
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
