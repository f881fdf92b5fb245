import type { RoomMessage } from '@busgate/layer';
import type { Sheet } from '../session/link.ts';

/** What a gap does to a session: nothing where the route has no words for it, the end, or a message of its own. */
type GapAnswer = Sheet | 'silent' | 'close';

/** How a room's messages look to the sessions of one kind of route. */
export interface Encoder {
  message(message: RoomMessage): Sheet;
  /** Asked once a session; `members` are told at the same time, and the room goes on at `position`, where that is known. */
  gap(members: number, position?: string): GapAnswer;
  /** Tells a session that so many messages were dropped at this place. */
  missed(count: number): Sheet | 'silent';
}

/** One object a kind: sessions that joined with the same one share what was encoded. */
export interface Encoding {
  /** `marks`: for a wire that names its events, and says where a client stands. */
  encoder(room: string, marks?: boolean): Encoder;
}
