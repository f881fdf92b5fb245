import type { PositionedMessage } from '@busgate/layer';
import type { Recovery } from '../../hub.ts';
import { type Sheet, textSheet } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import type { Encoder } from '../../hub/encoding.ts';
import type { RoomMemberships } from '../../hub/member.ts';
import { gapSheet, keptSheet, MULTIPLEX_ENCODING } from './encoding.ts';
import type { Ref } from './parse.ts';

/** A join that asks for what it missed. */
interface Joining {
  readonly room: string;
  readonly ref: Ref | undefined;
  readonly since: string | undefined;
}

/** Between which positions a piece lies. */
interface Span {
  readonly from: string | undefined;
  readonly recovered: boolean;
  readonly to: string | undefined;
}

/** The answer to one join, and what it missed of the room, which may come in several pieces. */
export class Missed {
  readonly #session: Session;
  readonly #joining: Joining;
  readonly #members: RoomMemberships;
  readonly #encoder: Encoder;
  isBegun = false;

  constructor(session: Session, members: RoomMemberships, joining: Joining) {
    this.#session = session;
    this.#members = members;
    this.#joining = joining;
    this.#encoder = MULTIPLEX_ENCODING.encoder(joining.room, session.framing.mark !== undefined);
  }

  /** A piece, which others follow. */
  send(messages: readonly PositionedMessage[]): void {
    const { room } = this.#joining;
    const position = messages.at(-1)?.position;
    const sheets = messages.map((message) => keptSheet(this.#encoder, message));
    // Whatever other rooms have meanwhile: this is where it goes on from, should the client be cut.
    if (position !== undefined) this.#members.returning = { room, position };
    this.#send(sheets, messages.length, { from: this.#joining.since, recovered: true, to: position });
  }

  /** All that is left of it, which begins with a gap where not all of it can be had. */
  sendRest({ events, recovered, position }: Recovery): void {
    const { room, since } = this.#joining;
    const sheets = events.map((event) => (event.gap === true ? gapSheet(room, 1) : keptSheet(this.#encoder, event)));
    this.#members.returning = undefined;
    this.#send(sheets, events.filter((event) => event.gap !== true).length, { from: recovered ? since : position, recovered, to: position });
  }

  /** What is left of it cannot be had. */
  sendGap(): void {
    this.#members.returning = undefined;
    this.#session.sendAll([gapSheet(this.#joining.room, 1)], 0);
  }

  /** The last of them says where the session stands with it. */
  #send(sheets: readonly Sheet[], messages: number, { from, recovered, to }: Span): void {
    const { room, since } = this.#joining;
    const all = this.isBegun ? [...sheets] : [textSheet(joined(this.#joining, from, recovered), this.#members.cursor(room, since)), ...sheets];
    this.isBegun = true;
    const last = all.at(-1);
    const cursor = this.#members.cursor(room, to);
    if (last !== undefined && cursor !== undefined) all.splice(-1, 1, { ...last, position: cursor });
    this.#session.sendAll(all, messages);
  }
}

/** The answer to a join. */
export function joined({ room, ref }: Joining, position: string | undefined, recovered?: boolean): string {
  return JSON.stringify({ type: 'joined', room, ref, position, recovered });
}
