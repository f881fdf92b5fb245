import type { RoomMessage } from '@busgate/layer';
import type { Recovery } from '../../hub.ts';
import { type Sheet, textSheet } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import type { Encoder } from '../../hub/encoding.ts';
import { gapSheet, keptSheet, MULTIPLEX_ENCODING } from './encoding.ts';
import type { Ref } from './parse.ts';

/** A join that asks for what it missed. */
interface Joining {
  readonly room: string;
  readonly ref: Ref | undefined;
  readonly since: string | undefined;
}

/** The answer to one join, and what it missed of the room, which may come in several pieces. */
export class Missed {
  readonly #session: Session;
  readonly #joining: Joining;
  readonly #encoder: Encoder;
  isBegun = false;

  constructor(session: Session, joining: Joining) {
    this.#session = session;
    this.#joining = joining;
    this.#encoder = MULTIPLEX_ENCODING.encoder(joining.room);
  }

  /** A piece, which others follow. */
  send(messages: readonly RoomMessage[]): void {
    const sheets = messages.map((message) => keptSheet(this.#encoder, message));
    this.#send(sheets, messages.length, this.#joining.since, true);
  }

  /** All that is left of it, which begins with a gap where not all of it can be had. */
  sendRest({ events, recovered, position }: Recovery): void {
    const { room, since } = this.#joining;
    const sheets = events.map((event) => (event.gap === true ? gapSheet(room, 1) : keptSheet(this.#encoder, event)));
    this.#send(sheets, events.filter((event) => event.gap !== true).length, recovered ? since : position, recovered);
  }

  /** What is left of it cannot be had. */
  sendGap(): void {
    this.#session.sendAll([gapSheet(this.#joining.room, 1)], 0);
  }

  #send(sheets: readonly Sheet[], messages: number, from: string | undefined, recovered: boolean): void {
    const answer = this.isBegun ? [] : [textSheet(joined(this.#joining, from, recovered))];
    this.isBegun = true;
    this.#session.sendAll([...answer, ...sheets], messages);
  }
}

/** The answer to a join. */
export function joined({ room, ref }: Joining, position: string | undefined, recovered?: boolean): string {
  return JSON.stringify({ type: 'joined', room, ref, position, recovered });
}
