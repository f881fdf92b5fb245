import type { PositionedMessage, RoomEvent } from '@busgate/layer';
import type { HubRoom } from '../hub/room.ts';
import type { Hub, Recovery } from '../hub.ts';
import { type Replayed, SHARE_BYTES } from '../limits/replays.ts';

/** Who missed messages. */
export interface ReplayReader {
  readonly session: Replayed;
  /** A piece, which others follow. */
  send(messages: readonly PositionedMessage[]): void;
  /** Resolves once what was sent has left; false where the reader has. */
  drained(): Promise<boolean>;
}

/**
 * Gives a reader what followed `since` in a room that is held, a piece at a time, each once the one before has left and the reader has its turn: so what it missed waits in the history and
 * not in this process. `end` is given the last piece, or what the history has no longer, as {@link Hub.recover} gives it. False where the reader has left before that.
 * @throws LayerError as the history does; what was sent was sent
 */
export async function replay(hub: Hub, room: HubRoom, since: string, reader: ReplayReader, end: (rest: Recovery) => void): Promise<boolean> {
  if (room.position === undefined) {
    await hub.recover(room.name, since, end);
    return true;
  }
  for (let from = since; ;) {
    const share = await hub.replays.share(reader.session);
    if (share === undefined) return false;
    let bytes = 0;
    try {
      const { messages, position, recovered, more } = await hub.history(room.name, from, { bytes: SHARE_BYTES });
      bytes = bytesOf(messages);
      await hub.turn();
      if (!reader.session.isOpen) return false;
      if (!more || recovered === false) {
        await hub.recover(room.name, from, (rest) => {
          bytes = Math.max(bytes, bytesOf(rest.events));
          end(rest);
        });
        return true;
      }
      reader.send(messages);
      from = position;
    } finally {
      share.settle(bytes);
    }
    if (!(await reader.drained())) return false;
  }
}

function bytesOf(events: readonly RoomEvent[]): number {
  return events.reduce((sum, event) => sum + (event.gap === true ? 0 : event.payload.length), 0);
}
