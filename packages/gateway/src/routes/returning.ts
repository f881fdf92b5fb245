import type { RoomEvent } from '@busgate/layer';
import type { Encoding } from '../hub/encoding.ts';
import type { HubRoom } from '../hub/room.ts';
import type { Hub } from '../hub.ts';
import { eventSheet, type Sheet } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import { gapOf } from './gap.ts';
import { replay } from './replay.ts';
import { NOWHERE } from './standing.ts';

/** Brings a session of one room back into it from where it stood: what it missed first, then what comes. Ends the hold of the room. */
export async function bringBack(hub: Hub, room: HubRoom, session: Session, encoding: Encoding, since: string): Promise<void> {
  const marks = session.framing.mark !== undefined;
  const encoder = encoding.encoder(room.name, marks);
  let isJoined = false;
  const send = (events: readonly RoomEvent[], position?: string): void => {
    const sheets = events.flatMap((event, index): Sheet[] => {
      if (event.gap !== true) return [encoder.message(event)];
      // What follows says itself where it stands.
      return marks ? [eventSheet('gap', gapOf(room.name, 1), index === events.length - 1 ? position : undefined)] : [];
    });
    session.sendAll(sheets, events.filter(({ gap }) => gap !== true).length);
  };
  const reader = { session, send: (messages: readonly RoomEvent[]): void => send(messages), drained: () => session.drained() };
  try {
    if (since !== NOWHERE && room.position !== undefined) session.mark(since);
    await replay(hub, room, since, reader, ({ events, position }) => {
      if (!session.isOpen) return;
      send(events, position);
      // A stream is told of it, and where it stands now, so that it does not come back from before the gap again.
      if (!marks && events.some(({ gap }) => gap === true) && encoder.gap(1) === 'close') session.close('gap');
      if (!session.isOpen) return;
      isJoined = true;
      session.feed = room.join(session, encoding, undefined, position);
    });
  } catch {
    session.close('gap');
  } finally {
    if (!isJoined) room.release();
  }
}
